r"""How the world moves: psi_t(v) = exp(t v), a one-parameter subgroup acting on frames.

A velocity v is an element of a Lie algebra, here always abelian, written as a tuple of components. For
translation v = (vy, vx) in pixels per frame, positive moves down and right, and

    psi_t(v) f (x) = f(x - t v)

This is the only implementation of "act by a flow": stimuli, networks and analyses all use it. Each group has
a file of its own in this folder, which is all that a new one takes: `flowsim.flows.find_groups` finds it
there, and whatever needs to know about a group reads it from the properties below.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks: flows as one-parameter subgroups.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowsim.errors import InputError
from flowsim.flows.resampling import shift

if TYPE_CHECKING:
    from torch import Tensor

Velocity = tuple[float, ...]


class FlowGroup(ABC):
    """An abelian Lie group that acts on the last two dimensions (y, x) of a tensor.

    A subclass can be made without arguments.

    Attributes
    ----------
    name : str
        As written in files and specifications; no two groups share it.
    components : tuple of str
        Names of the components of a velocity, in order. A component of the same name is the same motion in
        every group that has it: "omega" of a rotation is "omega" of a spiral. No two groups have the same set
        of components.
    units : tuple of str
        Unit of each component.
    """

    name: str
    components: tuple[str, ...]
    units: tuple[str, ...]

    @abstractmethod
    def act(self, x: Tensor, element: Velocity) -> Tensor:
        """Move ``x`` (..., y, x) by exp(``element``), the element being t v in the units of the group."""

    def act_oriented(self, x: Tensor, element: Velocity) -> Tensor:
        """Move ``x`` (..., orientation, y, x), whose orientations turn with the frame.

        By default the group does not turn frames, and orientations stay as they are.
        """
        return self.act(x, element)

    def act_each(self, x: Tensor, element: Sequence[Tensor]) -> Tensor:
        """Move each frame of ``x`` (..., y, x) by its own element, differentiably with respect to it.

        Parameters
        ----------
        x : Tensor (..., y, x)
        element : sequence of Tensor
            For each component its values, which broadcast with the leading dimensions of ``x``.

        Raises
        ------
        InputError
            If the group does not translate.
        """
        displacement = self.displacement(element)
        if displacement is None:
            raise InputError(
                f"expected a group that translates, to move each frame by its own element; got {self.name}"
            )
        return shift(x, *displacement)

    @abstractmethod
    def period(self, frame_shape: tuple[int, int]) -> Velocity:
        """Smallest positive displacement along each component that moves nothing, for a frame (y, x); inf for
        none.
        """

    def displacement(self, element: Sequence[Any]) -> tuple[Any, Any] | None:
        """By how many px (y, x) an element translates frames; None, the default, for groups that do not
        translate.

        Components may be numbers, arrays or tensors. A displacement by whole pixels is exact.
        """
        return None

    @property
    def translates(self) -> bool:
        """Whether the group translates frames on the torus; see `displacement`."""
        return self.displacement((0,) * len(self.components)) is not None

    @property
    def shares_unit(self) -> bool:
        """Whether all components have one unit, so that velocities have a speed in that unit."""
        return len(set(self.units)) == 1

    @property
    def plane(self) -> tuple[complex, ...]:
        """Where each component points when velocities are drawn in a plane: 1 is right and 1j is up.

        By default the first component points right and the second up.
        """
        return (1, 1j)[: len(self.components)]

    @property
    def plane_label(self) -> str:
        """What to write beside velocities that are drawn in a plane."""
        if len(self.components) > 1 and self.shares_unit:
            arrows = {1: "→", -1: "←", 1j: "↑", -1j: "↓"}
            placed = sorted(zip(self.components, self.plane, strict=True), key=lambda one: abs(one[1].imag))
            words = " and ".join(f"{component} {arrows[direction]}" for component, direction in placed)
            return f"{words} ({self.units[0]})"
        return "velocity"

    def velocity(self, value: float | Sequence[float]) -> Velocity:
        """``value`` as a velocity of this group: whole components as int, others as float.

        Raises
        ------
        InputError
            If the number of components is wrong.
        """
        components = tuple(value) if isinstance(value, Sequence) else (value,)
        if len(components) != len(self.components):
            raise InputError(
                f"a velocity of {self.name} has {len(self.components)} component(s) "
                f"{', '.join(self.components)}; got {value!r}"
            )
        return tuple(int(c) if float(c).is_integer() else float(c) for c in components)

    def counterpart(self, group: FlowGroup, velocity: Velocity) -> Velocity | None:
        """The velocity of this group that moves everything as ``velocity`` of ``group`` does.

        Every component that is not 0 must be a component of this group, too. Rest is a velocity of all
        groups.

        Returns
        -------
        velocity, or None
            Where there is none.
        """
        given = dict(zip(group.components, velocity, strict=True))
        if any(value for component, value in given.items() if component not in self.components):
            return None
        return tuple(given.get(component, 0) for component in self.components)

    def write(self, velocity: Velocity) -> str:
        """A velocity with its components and units, such as "vy = 1 px/frame, vx = -0.5 px/frame"."""
        parts = zip(self.components, velocity, self.units, strict=True)
        return ", ".join(f"{component} = {_shortest(value)} {unit}" for component, value, unit in parts)

    def parse(self, text: str) -> Velocity:
        """The velocity that `write` writes like this.

        Raises
        ------
        InputError
            If it is not written like that.
        """
        names = list(zip(self.components, self.units, strict=True))
        pattern = ", ".join(rf"{re.escape(component)} = (\S+) {re.escape(unit)}" for component, unit in names)
        match = re.fullmatch(pattern, text)
        try:
            numbers = [float(number) for number in match.groups()] if match else []
            return self.velocity(numbers)
        except (InputError, ValueError):
            form = ", ".join(f"{component} = <number> {unit}" for component, unit in names)
            raise InputError(
                f"expected a velocity of {self.name} written as {form!r}; got {text!r}"
            ) from None


def _shortest(value: float) -> str:
    """A number in six digits if these are exact, else in as many as it takes."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
