"""`flowsim figure` writes SVG, and beside it PNG and CSV."""

from flowsim.__main__ import main


def run(*arguments):
    return main([str(a) for a in arguments])


def test_figures_end_in_svg(folder, tmp_path, capsys):
    assert (
        run("figure", "equivariance_error", "--results", folder / "err.h5", "--into", tmp_path / "a.pdf") == 2
    )
    assert "--into: expected a file ending in .svg" in capsys.readouterr().err
