"""Files of every format: what their own communities' readers give, or a refusal that names the remedy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import h5py
import imageio.v3 as imageio
import nibabel
import nrrd
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import tifffile
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pmasolve import read_array
from pmasolve.problems.images import LIBRARIES, READABLE, SUFFIXES, read_samples

RNG = np.random.default_rng(11)
BYTES = RNG.integers(0, 256, (9, 7), dtype=np.uint8)
WORDS = RNG.integers(0, 2**16, (9, 7), dtype=np.uint16)
FLOATS = RNG.random((9, 7))
COLOURS = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
VOLUME = RNG.integers(0, 2**16, (5, 6, 7), dtype=np.uint16)
GREY = COLOURS.astype(float) @ [0.299, 0.587, 0.114]


def image(values, path: Path, **options) -> Path:
    """A picture by Pillow."""
    Image.fromarray(values).save(path, **options)
    return path


def tiff(values, path: Path, **options) -> Path:
    """A TIFF by tifffile."""
    tifffile.imwrite(path, values, **options)
    return path


# ---- FITS ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [BYTES, WORDS, WORDS.astype(np.int16), FLOATS, FLOATS.astype(">f4"), VOLUME], ids=str
)
@pytest.mark.parametrize("suffix", ["fits", "fit", "png"])
def test_fits_is_what_astropy_says(values, suffix: str, tmp_path: Path) -> None:
    """Rows were reversed, BZERO was ignored, cubes were cut to a plane; also under another suffix."""
    path = tmp_path / f"a.{suffix}"
    fits.writeto(path, values)
    assert np.array_equal(read_array(path), fits.getdata(path).astype(float))
    assert np.array_equal(read_array(path), values)


def test_fits_of_several_images_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    units = [
        fits.PrimaryHDU(),
        fits.ImageHDU(BYTES, name="SCI"),
        fits.CompImageHDU(WORDS, name="ERR"),
        fits.ImageHDU(FLOATS),
    ]
    fits.HDUList(units).writeto(path)
    with pytest.raises(ValueError, match=r"a\.fits: several images and no name; it holds SCI, ERR, 3"):
        read_array(path)
    for name, values in (("SCI", BYTES), ("ERR", WORDS), ("3", FLOATS)):
        assert np.array_equal(read_array(path, name), values)
    scaled = fits.PrimaryHDU(WORDS.astype(np.int16))
    scaled.header["BSCALE"], scaled.header["BZERO"], scaled.header["BLANK"] = (
        0.5,
        7.0,
        int(WORDS.astype(np.int16)[2, 3]),
    )
    scaled.writeto(path, overwrite=True)
    found, expected = read_array(path), fits.getdata(path)
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.isnan(found[2, 3])


# ---- TIFF ---------------------------------------------------------------------------------------------------------------------

KINDS_OF_NUMBERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")


@pytest.mark.parametrize("kind", KINDS_OF_NUMBERS)
@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "zlib"}, {"byteorder": ">"}], ids=str)
def test_tiff_is_what_tifffile_says(kind: str, options: dict, tmp_path: Path) -> None:
    path = tiff((200 * FLOATS - 100 * (kind[0] != "u")).astype(kind), tmp_path / "a.tif", **options)
    assert np.array_equal(read_array(path), tifffile.imread(path).astype(float))
    assert np.array_equal(read_array(path), imageio.imread(path, plugin="tifffile").astype(float))


def test_tiff_of_several_pages(tmp_path: Path) -> None:
    path = tiff(VOLUME, tmp_path / "a.tif", photometric="minisblack")
    assert np.array_equal(read_array(path), tifffile.imread(path))
    assert np.array_equal(read_array(path, frame=3), VOLUME[3])
    with pytest.raises(ValueError, match=r"a\.tif has 5 pages, not number 5: choose one of 0 to 4"):
        read_array(path, frame=5)
    tiff(VOLUME, path, photometric="minisblack", metadata={"axes": "TYX"}, ome=True)
    with pytest.raises(ValueError, match=r"a\.tif has 5 pages: choose one of 0 to 4 by frame \(--frame\)"):
        read_array(path)  # five times are no layers
    assert np.array_equal(read_array(path, frame=1), VOLUME[1])
    with tifffile.TiffWriter(path) as pages:
        for values in (BYTES, BYTES[:5]):
            pages.write(values)
    with pytest.raises(ValueError, match="has 2 pages"):
        read_array(path)
    Image.fromarray(BYTES).save(
        path, save_all=True, append_images=[Image.fromarray(BYTES.T[:7].T), Image.fromarray(255 - BYTES)]
    )
    assert np.array_equal(read_array(path), [BYTES, BYTES, 255 - BYTES])


def test_a_tiff_cut_between_its_pages_is_refused(tmp_path: Path) -> None:
    """tifffile reads the pages that are left, and logs the rest."""
    path = tiff(VOLUME, tmp_path / "a.tif", photometric="minisblack", compression="lzw")
    content, wrong = path.read_bytes(), 0
    for length in range(8, len(content), 16):
        path.write_bytes(content[:length])
        try:
            wrong += not np.array_equal(read_array(path), VOLUME)
        except ValueError:
            continue
    assert wrong == 0
    path.write_bytes(content)
    assert np.array_equal(read_array(path), VOLUME)


def test_tiff_of_colours_and_of_white_zero(tmp_path: Path) -> None:
    deep = COLOURS.astype(np.uint16) * 257
    path = tmp_path / "a.tif"
    np.testing.assert_allclose(read_array(tiff(COLOURS, path, photometric="rgb")), GREY, rtol=1e-14)
    np.testing.assert_allclose(read_array(tiff(deep, path, photometric="rgb")), 257 * GREY, rtol=1e-14)  # all 16 bits
    planes = np.moveaxis(COLOURS, -1, 0)
    np.testing.assert_allclose(
        read_array(tiff(planes, path, photometric="rgb", planarconfig="separate")), GREY, rtol=1e-14
    )
    for values, white in ((BYTES, 255), (WORDS, 65535)):
        assert np.array_equal(read_array(tiff(values, path, photometric="miniswhite")), white - values.astype(float))
    tiff(BYTES, path, photometric="miniswhite")
    assert np.array_equal(read_array(path), np.asarray(Image.open(path)))  # as Pillow has it at 8 bits
    with pytest.raises(ValueError, match="0 is white and holds float32"):
        read_array(tiff(FLOATS.astype("f4"), path, photometric="miniswhite"))
    Image.fromarray(COLOURS).quantize(16).save(path)
    np.testing.assert_allclose(
        read_array(path) / 256, np.asarray(Image.open(path).convert("RGB")) @ [0.299, 0.587, 0.114], rtol=1e-3
    )
    with pytest.raises(ValueError, match="colours of kind SEPARATED"):
        read_array(tiff(np.dstack([COLOURS, BYTES]), path, photometric="separated"))


def test_transparency_is_refused(tmp_path: Path) -> None:
    """A shape that was in the alpha channel alone gave W₂ = 0."""
    shape = np.where(BYTES > 99, 255, 0).astype(np.uint8)
    clear, opaque = np.dstack([COLOURS, shape]), np.dstack([COLOURS, np.full_like(shape, 255)])
    for name in ("a.png", "a.webp", "a.tif"):
        path = tmp_path / name
        options = {"lossless": True} if name == "a.webp" else {}
        write = image if name != "a.tif" else lambda v, p: tiff(v, p, photometric="rgb", extrasamples=["unassalpha"])
        np.testing.assert_allclose(read_array(write(opaque, path, **options)), GREY, rtol=1e-14)
        with pytest.raises(ValueError, match="transparent in places: put it on a background"):
            read_array(write(clear, path, **options))
    for mode, key in (("L", int(BYTES[0, 0])), ("P", int(BYTES[0, 0]))):
        path = tmp_path / "key.png"
        Image.fromarray(BYTES).convert(mode).save(path, transparency=key)
        with pytest.raises(ValueError, match="transparent"):
            read_array(path)
    image(np.dstack([BYTES, shape]), tmp_path / "la.png")
    with pytest.raises(ValueError, match="transparent"):
        read_array(tmp_path / "la.png")


# ---- pictures -----------------------------------------------------------------------------------------------------------------


def test_pictures_are_what_imageio_says(tmp_path: Path) -> None:
    for values in (BYTES, WORDS):
        path = image(values, tmp_path / "a.png")
        assert np.array_equal(read_array(path), imageio.imread(path))
    for name in ("a.png", "a.bmp", "a.ppm"):
        path = image(COLOURS, tmp_path / name)
        np.testing.assert_allclose(read_array(path), imageio.imread(path) @ [0.299, 0.587, 0.114], rtol=1e-14)
        np.testing.assert_allclose(read_array(path), np.asarray(Image.open(path).convert("F")), rtol=1e-6)
    path = image(COLOURS, tmp_path / "a.jpg")
    np.testing.assert_allclose(read_array(path), imageio.imread(path) @ [0.299, 0.587, 0.114], rtol=1e-14)
    (tmp_path / "a.pgm").write_bytes(b"P5\n# a comment\n3 1\n100\n" + bytes([0, 33, 100]))
    assert read_array(tmp_path / "a.pgm").tolist() == [[0, 33, 100]]
    (tmp_path / "b.pgm").write_bytes(b"P5 2 1 1000\n" + (7).to_bytes(2, "big") + (1000).to_bytes(2, "big"))
    assert read_array(tmp_path / "b.pgm").tolist() == [[7, 1000]]


def test_pictures_are_turned_as_the_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    path = image(BYTES, tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_array(path), np.rot90(BYTES, -1))


def test_colours_of_16_bits_are_not_cut(tmp_path: Path) -> None:
    deep = COLOURS.astype(np.uint16) * 257
    (tmp_path / "a.ppm").write_bytes(b"P6 7 9 65535\n" + deep.astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(png_of_16_bits(deep))
    assert np.asarray(Image.open(tmp_path / "a.png")).dtype == np.uint8, "Pillow keeps all bits: read them"
    for name in ("a.ppm", "a.png"):
        with pytest.raises(
            ValueError, match=rf"{name} has colours of 16 bits, of which 8 would be read: save it in grey"
        ):
            read_array(tmp_path / name)


def png_of_16_bits(colours) -> bytes:
    """A PNG of three channels of 16 bits, which Pillow does not write."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    head = struct.pack(">IIBBBBB", colours.shape[1], colours.shape[0], 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_frames_are_chosen(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.gif", [Image.fromarray(v) for v in (BYTES, 255 - BYTES, BYTES[::-1])]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"a\.gif has 3 frames: choose one of 0 to 2"):
        read_array(path)
    for k in range(3):
        expected = imageio.imread(path, index=k)
        expected = expected[..., :3] @ [0.299, 0.587, 0.114] if expected.ndim == 3 else expected
        np.testing.assert_allclose(read_array(path, frame=k), expected, rtol=1e-14)


def test_arrays_of_colours_are_no_volumes(tmp_path: Path) -> None:
    """W₂ was 0.028 where it is 0.566."""
    deep = COLOURS.astype(np.uint16)
    np.save(tmp_path / "a.npy", COLOURS)
    np.savez(tmp_path / "a.npz", np.dstack([deep, WORDS]))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = COLOURS
    scipy.io.savemat(tmp_path / "a.mat", {"a": COLOURS})
    for name in ("a.npy", "a.npz", "a.h5", "a.mat"):
        with pytest.raises(
            ValueError, match=rf"{name} has shape \(9, 7, [34]\) of uint.*in colour; take its luminance"
        ):
            read_array(tmp_path / name)
    np.save(tmp_path / "volume.npy", VOLUME)
    assert np.array_equal(read_array(tmp_path / "volume.npy"), VOLUME)
    assert np.array_equal(read_array(tmp_path / "volume.npy", frame=2), VOLUME[2])


# ---- volumes, MATLAB, text ----------------------------------------------------------------------------------------------------


def test_nifti_is_what_nibabel_says(tmp_path: Path) -> None:
    path, affine = tmp_path / "a.nii.gz", np.diag([-2.0, 3.0, 0.5, 1.0])
    picture = nibabel.Nifti1Image(VOLUME.astype(np.int16) // 2, affine)
    picture.header.set_slope_inter(0.25, 3.0)
    nibabel.save(picture, path)
    found = read_samples(path)
    assert np.array_equal(found.values, nibabel.load(path).get_fdata())
    assert (found.spacing, found.orientation) == ((2.0, 3.0, 0.5), "LAS")
    nibabel.save(nibabel.Nifti2Image(np.stack([VOLUME, VOLUME + 1], axis=-1).astype(float), affine), tmp_path / "b.nii")
    with pytest.raises(ValueError, match="has 2 volumes"):
        read_array(tmp_path / "b.nii")
    assert np.array_equal(read_array(tmp_path / "b.nii", frame=1), VOLUME + 1.0)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "ascii"])
def test_nrrd_is_what_pynrrd_says(encoding: str, tmp_path: Path) -> None:
    path = str(tmp_path / "a.nrrd")
    directions = np.array([[0, 2.0, 0], [0, 0, -3.0], [0.5, 0, 0]])
    nrrd.write(path, VOLUME, {"encoding": encoding, "space": "left-posterior-superior", "space directions": directions})
    found = read_samples(path)
    assert np.array_equal(found.values, nrrd.read(path)[0])
    assert (found.spacing, found.orientation) == ((2.0, 3.0, 0.5), "left-posterior-superior +1-2+0")
    nrrd.write(path, FLOATS, {"encoding": encoding, "spacings": [0.1, 0.2]})
    assert read_samples(path).spacing == (0.1, 0.2)
    nrrd.write(path, np.moveaxis(COLOURS, -1, 0), {"kinds": ["RGB-color", "domain", "domain"]})
    with pytest.raises(ValueError, match="axis of kind rgb-color: give one number"):
        read_array(path)


def test_matlab_is_what_scipy_says(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    for compressed in (False, True):
        scipy.io.savemat(path, {"mu": FLOATS}, do_compression=compressed)
        assert np.array_equal(read_array(path), scipy.io.loadmat(path)["mu"])
    scipy.io.savemat(
        path, {"mu": FLOATS, "row": np.arange(5.0), "s": scipy.sparse.eye(4).tocsc(), "word": "a", "cell": [{}, 1]}
    )
    with pytest.raises(ValueError, match="several arrays and no name; it holds mu, row, s"):
        read_array(path)
    assert read_array(path, "row").tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(read_array(path, "s"), np.eye(4))
    with h5py.File(path, "w", userblock_size=512) as file:
        file["mu"] = FLOATS.T  # HDF5 lists MATLAB's axes backwards
    content = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + content[512:])
    assert np.array_equal(read_array(path), FLOATS)


def test_text_is_what_it_says(tmp_path: Path) -> None:
    expected = [[1.0, 2.5], [3.0, 4.0], [5.0, 6e-3]]
    for name, text in {
        "a.csv": "1,2.5\n3,4\n5,6e-3\n",
        "excel.csv": "\ufeff1;2.5;\r\n3;4;\r\n5;6e-3;\r\n",
        "a.tsv": "1\t2.5\n3\t4\n5\t6e-3",
        "a.txt": "# two columns\n  1 2.5\n\n3   4 # a row\n 5 6e-3\n",
        "a.dat": "1, 2.5\n3, 4\n5, 6e-3\n",
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
        assert read_array(tmp_path / name).tolist() == expected, name
    for text in ("1\n2\n3\n", "1,2,3\n"):
        (tmp_path / "a.csv").write_text(text)
        assert read_array(tmp_path / "a.csv").tolist() == [1, 2, 3]
    wrong = {"": "no numbers", "a,b\n1,2\n": "without a line of titles", "1,2\n3\n": "equally many", "1,5;2\n": "rows"}
    for text, words in wrong.items():
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(ValueError, match=words):
            read_array(tmp_path / "a.csv")


def test_hdf5_that_is_packed_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = BYTES
        file["data"].attrs["scale_factor"] = 0.5
    with pytest.raises(ValueError, match=r"packed \(scale_factor\): unpack it first"):
        read_array(tmp_path / "a.h5")


# ---- the door -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LIBRARIES)
def test_a_library_that_is_not_there_is_named(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, extra = LIBRARIES[kind]
    module = {"pynrrd": "nrrd", "Pillow": "PIL"}.get(library, library)
    monkeypatch.delitem(sys.modules, f"pmasolve.problems.formats.{kind}", raising=False)
    for loaded in [key for key in sys.modules if key.split(".")[0] == module] + [module]:
        monkeypatch.setitem(sys.modules, loaded, None)
    path = tmp_path / f"a{SUFFIXES[kind][0]}"
    path.write_bytes(b"content")
    with pytest.raises(ValueError, match=rf"need {library}: .*pip install '\.\[{extra}\]'"):
        read_array(path)


def test_what_is_no_such_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("text")
    with pytest.raises(ValueError, match=r"a\.xyz cannot be read: .*NumPy, HDF5"):
        read_array(tmp_path / "a.xyz")
    with pytest.raises(ValueError, match="is a folder"):
        read_array(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_array(tmp_path / "a.fits")
    assert READABLE in read_array.__doc__ or all(
        word in read_array.__doc__ for word in ("FITS", "NIfTI", "NRRD", "TIFF")
    )


def small_files(folder: Path) -> list[Path]:
    """One small file of each format, and of each encoding that has a reader of its own."""
    folder.mkdir(exist_ok=True)
    made = [
        folder / name for name in ("a.npy", "a.npz", "a.h5", "a.fits", "b.fits", "a.nii.gz", "a.nii", "a.mat", "a.csv")
    ]
    np.save(made[0], FLOATS)
    np.savez_compressed(made[1], FLOATS)
    with h5py.File(made[2], "w") as file:
        file.create_dataset("data", data=FLOATS, compression="gzip")
    fits.writeto(made[3], WORDS)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(WORDS)]).writeto(made[4])
    for path in made[5:7]:
        nibabel.save(nibabel.Nifti1Image(FLOATS, np.eye(4)), path)
    scipy.io.savemat(made[7], {"mu": FLOATS}, do_compression=True)
    np.savetxt(made[8], FLOATS, delimiter=",")
    for encoding in ("raw", "gzip"):
        made.append(folder / f"{encoding}.nrrd")
        nrrd.write(str(made[-1]), WORDS, {"encoding": encoding})
    made += [image(COLOURS, folder / f"a.{suffix}") for suffix in ("png", "jpg", "bmp", "ppm", "gif", "webp")]
    made += [tiff(WORDS, folder / "a.tif"), tiff(VOLUME, folder / "b.tif", compression="lzw", photometric="minisblack")]
    return made


FUZZ = int(os.environ.get("PMASOLVE_FUZZ", "250"))
EXACT = {".npz", ".png", ".gz"}  # with sums over their content: what is read is right


@pytest.mark.filterwarnings("ignore")  # readers warn of what they do not know
@given(data=st.data())
@settings(max_examples=FUZZ, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_refused_by_name_or_read(data, tmp_path: Path) -> None:
    """Truncated or with bytes changed: one ``ValueError`` with the path, or numbers; and the right ones where a format can know."""
    folder = tmp_path / "whole"
    files = sorted(folder.iterdir()) if folder.exists() else small_files(folder)
    source = data.draw(st.sampled_from(sorted(files)))
    content, original = source.read_bytes(), read_array(source)
    cut = data.draw(st.booleans(), "cut")
    if cut:
        content = content[: data.draw(st.integers(0, len(content) - 1), "length")]
    else:
        for _ in range(data.draw(st.integers(1, 4), "changes")):
            at = data.draw(
                st.one_of(st.integers(0, min(399, len(content) - 1)), st.integers(0, len(content) - 1)), "at"
            )
            content = content[:at] + bytes([data.draw(st.integers(0, 255), "byte")]) + content[at + 1 :]
    damaged = tmp_path / f"damaged{''.join(source.suffixes)}"
    damaged.write_bytes(content)
    try:
        values = read_array(damaged)
    except ValueError as error:
        assert str(damaged) in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert values.dtype == np.float64
        if cut and source.suffix != ".csv":  # text may end anywhere
            assert np.array_equal(values, original)
        if source.suffix in EXACT:
            assert np.array_equal(values, original) or values.shape != original.shape
