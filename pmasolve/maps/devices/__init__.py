"""Newton's method in the arrays of another library: torch on a graphics card, JAX on several devices.  Come here for ``device=``.

One source against the array API (data-apis.org): `spectral` has the transforms, `equation` residual and inner steps, `densities`
the densities at moved points; `libraries` says what a library has to do, `choice` which one a device belongs to.
"""
