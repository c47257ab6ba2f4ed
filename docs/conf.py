"""The site: `sphinx-build -W docs site`, see CONTRIBUTING.md."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "extensions")]
# the examples run in processes of their own
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

import pmasolve  # noqa: E402

project = "pmasolve"
author = copyright = "The pmasolve developers"
version = release = pmasolve.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "mathml",  # docs/extensions/mathml.py
    "sphinx_gallery.gen_gallery",
    "reference",  # docs/extensions/reference.py
]
exclude_patterns = ["extensions", "start", "**/GALLERY_HEADER.rst", "**/*.ipynb"]
nitpicky = False
default_role = "py:obj"
suppress_warnings = ["config.cache"]  # sphinx_gallery_conf holds a class

html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 78
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "docs" / "start"), str(ROOT / "examples")],
    "gallery_dirs": ["tutorials", "gallery"],
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "min_reported_time": 5,
    "show_memory": False,
    "image_scrapers": ("matplotlib", "reference.figures"),
    "reset_argv": "reference.no_arguments",
    "matplotlib_animations": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "pmasolve"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {name: [] for name in ("index", "theory")}
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}
