"""How Sphinx builds the pages: ``make docs`` writes them to docs/_build."""

import warnings

from docutils import nodes
from latex2mathml.converter import convert

from flowsim import __version__

project = "flowsim"
author = "The flowsim developers"
version = release = __version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "gallery", "gallery_built/*.ipynb", "**.ipynb_checkpoints"]
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "gallery_built",
    "filename_pattern": "plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1e9,
}
warnings.filterwarnings("ignore", message="invalid value encountered", category=RuntimeWarning)

html_theme = "furo"
html_title = "flowsim"
html_show_sphinx = False
html_show_copyright = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": True}


def inline_formula(visitor, node):
    """A formula in a line as MathML, which browsers draw without a script from elsewhere."""
    visitor.body.append(convert(node.astext()))
    raise nodes.SkipNode


def formula(visitor, node):
    """A formula of its own as MathML."""
    visitor.body.append(convert(node.astext(), display="block"))
    raise nodes.SkipNode


def setup(app):
    """Tell Sphinx how formulas are written."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
