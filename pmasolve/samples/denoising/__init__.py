"""How hard a law is to denoise, scale by scale (arXiv 2411.01629).  Come here to ask at which signal-to-noise ratio.

`complexity` measures it for samples, mixtures, densities on grids and named examples; `diffuse_then_denoise` runs the chains; a
`Schedule` lays the noise levels of a diffusion model over it.
"""

from .chains import RoundTrip as RoundTrip
from .chains import diffuse_then_denoise as diffuse_then_denoise
from .chains import round_trip as round_trip
from .complexity import Complexity as Complexity
from .complexity import complexity as complexity
from .critical import critical_snr as critical_snr
from .critical import hardest_snr as hardest_snr
from .diffusion import Diffusion as Diffusion
from .diffusion import Euler as Euler
from .diffusion import ProbabilityFlow as ProbabilityFlow
from .diffusion import Tweedie as Tweedie
from .distances import w2_clouds as w2_clouds
from .distances import w2_line as w2_line
from .distances import w2_on_grid as w2_on_grid
from .examples import Uniform as Uniform
from .examples import dirac as dirac
from .examples import four_modes as four_modes
from .examples import normal as normal
from .examples import slab as slab
from .examples import two_points as two_points
from .mixtures import Mixture as Mixture
from .points import Points as Points
from .resolution import Resolution as Resolution
from .resolution import resolution as resolution
from .schedules import Schedule as Schedule
from .schedules import equidistributed as equidistributed
