// W2^2 between two n x n images by MultiScaleOT's ShortCut solver over LEMON's network simplex: see benchmarks/exact.py.
//
//     multiscale_ot N MU NU [--primal]
//
// MU, NU: files of N^2 float64, multiples of 2^-40 with sum 1 and none 0; N a power of 2.  Prints the library's return code, W2^2 on the
// unit square, CPU seconds of set-up and solution, and the arcs of the coupling.  --primal: the check of the library's example for LEMON.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include <Common.h>
#include <LP_Lemon.h>
#include <ShortCutSolver.h>

static std::vector<double> masses(const char *path, size_t count) {
    std::vector<double> out(count);
    FILE *file = std::fopen(path, "rb");
    if (!file || std::fread(out.data(), sizeof(double), count, file) != count) {
        std::fprintf(stderr, "%s: not %zu float64\n", path, count);
        std::exit(2);
    }
    std::fclose(file);
    return out;
}

int main(int argc, char **argv) {
    if (argc < 4) return std::fprintf(stderr, "usage: %s N MU NU [--primal]\n", argv[0]), 2;
    int n = std::atoi(argv[1]), depth = (int)std::lround(std::log2(n)), shape[] = {n, n};
    bool primal = argc > 4 && !std::strcmp(argv[4], "--primal");
    std::vector<double> mu = masses(argv[2], (size_t)n * n), nu = masses(argv[3], (size_t)n * n);
    TDoubleMatrix x, y;
    x.data = mu.data(), x.dimensions = shape, x.depth = 2;
    y.data = nu.data(), y.dimensions = shape, y.depth = 2;

    clock_t began = clock();
    TMultiScaleSetupGrid X(&x, depth, false, false, false), Y(&y, depth, false, false, false);
    int code = X.Setup();
    if (!code) code = Y.Setup();
    if (code) return std::printf("%d nan nan 0\n", code), 0;
    // below the library's tolerance of 1e-5 for dual violations; squared distances between cells of the finest level are exact
    const double mass = std::ldexp(1.0, -40), cost = std::ldexp(1.0, -24);
    TCostFunctionProvider_Dynamic costs(X.resH, Y.resH, X.posH, Y.posH, X.nLayers, X.dim);
    TShieldGeneratorGrid_SqrEuclidean shields(X.dim, X.dimH, Y.dimH, X.nLayers);
    TShortCutCouplingHandlerInterface coupling(X.resH, Y.resH, X.nLayers);
    TShortCutSubSolverInterfaceLemon lemon(X.nLayers, X.muH, Y.muH, &coupling, mass, cost, true);
    int check = primal ? TShortCutSolver::VCHECK_PRIMAL : TShortCutSolver::VCHECK_DUAL;
    TShortCutMultiScaleSolver solver(&costs, &coupling, &lemon, &shields, X.HP, Y.HP, 1, check);
    solver.autoDeletePointers = false;
    code = solver.solve();
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    double value = 0.0;  // of the coupling: the library's sum of whole costs can leave 64 bits
    TSparsePosContainer arcs;
    if (!code) arcs = coupling.getCouplingPos();
    for (size_t k = 0; k < arcs.mass.size(); k++) {
        double d = arcs.posStart[k] / n - arcs.posEnd[k] / n, e = arcs.posStart[k] % n - arcs.posEnd[k] % n;
        value += arcs.mass[k] * (d * d + e * e);
    }
    std::printf("%d %.17g %.6f %zu\n", code, value / n / n, seconds, arcs.mass.size());
    std::fflush(stdout);
    std::_Exit(0);  // as in the library's example, owners of some arrays overlap
}
