"""Record what a network does while it watches a stimulus, trial by trial, into one HDF5 file.

Recording never edits the network. The size of a recording is announced before anything is written. It is
written block by block (the next block is computed while one is compressed and written), and the file appears
whole or not at all.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import torch
import xarray as xr
from torch import nn

from flowsim.errors import InputError
from flowsim.files import coordinates, netcdf
from flowsim.files.atomic import whole
from flowsim.files.checkpoints import AT_CHECKPOINT
from flowsim.files.hdf5_chunks import CODECS, ChunkWriter, Codec, seal_hdf5
from flowsim.files.hdf5_disk import on_disk
from flowsim.files.outputs import protect
from flowsim.files.provenance import provenance
from flowsim.flows.flow import Flow
from flowsim.flows.law import Law
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.network import Network, State
from flowsim.recording import apart, dynamics
from flowsim.recording.blank import Blank, Withheld
from flowsim.recording.calls import Calls, Output
from flowsim.recording.find_calls import find_calls, stepwise, ways_for_sites
from flowsim.recording.interventions import (
    PREFIX,
    Asked,
    Intervention,
    attributes,
    grid_of,
    recordings_read,
    sites_replaced,
)
from flowsim.recording.layout import BLANK, Layout, with_interventions
from flowsim.recording.replaced_outputs import Parts, ReplacedOutput, replacing
from flowsim.recording.settings import ExponentsBlock, FixedPointsBlock
from flowsim.recording.shown import frames_by_name, number_type, stimulus_with_flows, to_network
from flowsim.recording.sites import Compiled, Site
from flowsim.recording.thinning import Thinning, Units
from flowsim.recording.watch import NETWORK_SITES, Feed, Thin, first_predicted, site_axes, watch
from flowsim.scenes.from_frames import from_frames
from flowsim.scenes.sequences import observer_actions

DTYPES = ("float16", "float32", "float64")
OUTPUTS = ("prediction", "logits")
"""Sites that are never thinned by channel or unit."""
RESERVED = (
    *("frames", "flow", "trial", "time", "velocity", "channel", "orientation"),
    *("y", "x", "unit", "class", "blank", "checkpoint", "intervention"),
)
"""Names of dimensions and of the stimulus in a recording, which no site may have."""


def record(
    network: nn.Module,
    stimulus: Any,
    into: str | Path,
    *,
    context: int | None = None,
    sites: Sequence[str] | Mapping[str, Site | None] | None = None,
    feed: Feed | None = None,
    trials: int | None = None,
    flows: int | Sequence[Sequence[float]] | None = None,
    every: int = 1,
    channels: int | None = None,
    units: Units | Mapping[str, Any] | None = None,
    blank: Blank | Mapping[str, Any] | None = None,
    dtype: str = "float32",
    codec: Codec = "gzip",
    fixed_points: FixedPointsBlock | Mapping[str, Any] | None = None,
    exponents: ExponentsBlock | Mapping[str, Any] | None = None,
    curve: Mapping[str, Sequence[float]] | None = None,
    checkpoints: Mapping[int, Mapping[str, torch.Tensor]] | None = None,
    attrs: Mapping[str, Any] | None = None,
    intervene: Asked | None = None,
    intervened_sites: Sequence[str] | None = None,
    announce: Callable[[str], None] = lambda _: None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Show a stimulus to a network and write a recording.

    Ground truth about objects (trial, object) is named ``object_label``, ``object_velocity_vy``, ... in a
    recording, where ``velocity_vy`` (velocity) is the velocity of a state channel.

    Parameters
    ----------
    network : flowsim.Network, or any torch.nn.Module
        Its parameters and buffers are not edited, and it computes as it is: call ``eval()`` first if it has a
        training mode. One trial is shown to it before those that are recorded, to learn the sizes of its
        activity, and once more among others if need be, to see that a trial does not depend on others.
    stimulus : Dataset, or an array, a Tensor or a path
        As a generator in ``stimuli/`` returns it, with frames from 0 to 1; anything else is what
        `flowsim.from_frames` takes, and becomes a stimulus by it.
    into : path
        The file; it appears whole or not at all.
    context : int, optional
        How many frames the network sees before it goes on by itself; all if not given.
    sites : sequence of "state", "prediction" and "logits", or mapping of name to Site, optional
        What is recorded: sites of a flowsim network by name, outputs of any network's modules by
        `flowsim.recording.sites.Site`. In a mapping, None stands for the network's site of that name. If not
        given, state and prediction of a flowsim network, and of another what is found among its outputs
        (`flowsim.recording.find_calls`): ``return prediction, state`` is enough, for all frames or for one,
        where a prediction is of the frame that follows. The attribute ``called`` of the recording says what
        was found, and so does ``announce``. Analyses look at the site "state" first, "prediction" at time t
        is the prediction of frame t, and "logits" are recorded as (flow, trial, time, class).
    feed : callable (network, frames, horizon), optional
        How frames (trial, time, channel, y, x) go into a module. If not given, it is found by trying: all
        frames at once, as pictures or as vectors (trial, time, unit), or one after the other with what the
        network carries from one to the next as its second argument.
    trials, flows, channels : int, optional
        Record the first so many; all if not given. Where there is no channel axis, ``channels`` are the first
        units. With an array, ``flows`` are velocities: see `flowsim.from_frames`.
    every : int
        Record every n-th frame.
    units : Units or mapping of its fields, optional
        Record only so many units, chosen by a seed, of each site except predictions and logits, as (flow,
        trial, time, unit).
    blank : Blank or mapping of its fields, optional
        Record each trial once more with its input withheld from a frame on, beside the run with all input:
        as ``blank_<site>``, with the coordinate ``blank`` (time), 1 where a frame is withheld, and what was
        done in attributes. See `flowsim.recording.blank`.
    dtype : {"float16", "float32", "float64"}
        Of the values in the file; the network computes in that of its first floating-point parameter.
    codec : {"gzip", "rounded", "none"}
        See `flowsim.files.hdf5_chunks.Codec`.
    fixed_points : FixedPointsBlock or mapping of its fields, optional
        Solve for relative fixed points of a flowsim network (`flowsim.recording.fixed_points`), and write
        them and the spectrum about each as variables ``fixed_point...``.
    exponents : ExponentsBlock or mapping of its fields, optional
        Follow small differences along the trajectory of a flowsim network (`flowsim.recording.exponents`),
        and write how they grow as variables ``exponent_...``.
    curve : mapping, optional
        A learning curve to store beside the activity, as variables ``curve_<name>`` (validation).
    checkpoints : mapping of int to weights, optional
        Weights of the network (`torch.nn.Module.state_dict`) at several moments of its training, by sequences
        seen: each site is recorded with these too, as ``<site>_at_checkpoint`` (checkpoint, flow, trial,
        time, ...), with the coordinate ``sequences`` (checkpoint). `flowsim.files.checkpoints.at_checkpoint`
        makes a recording of each.
    attrs : mapping, optional
        Attributes of the file, beside those that say by what it was made: versions, commit, class and number
        of parameters of the network, what was asked for, and the specification of the stimulus.
    intervene : mapping of name to `flowsim.recording.settings.InterventionBlock`, or its fields, optional
        Replace what the network carries after one frame: see `flowsim.recording.interventions`. Activity
        under interventions is ``intervened_<site>`` (intervention, flow, trial, time, ...), up to that frame
        the same as without; ``intervention_time`` (intervention) is the frame, and the attribute
        ``interventions`` says what was done.
    intervened_sites : sequence of str, optional
        Which of the sites are recorded under interventions; all if not given.
    announce : callable (text)
        Called with the size of the recording before it is written.
    report : callable (done, total)
        Called after each block with the bytes so far and the bytes of the whole recording.

    Raises
    ------
    InputError
        If a site is unknown or the network does not have it, the stimulus has other frames than the network
        or values outside [0, 1], activity of a trial depends on other trials or does not fit into ``dtype``,
        fixed points or exponents are wanted of a network whose step is not known, the disk has too little
        room, weights do not fit the network, or a file that is no recording lies at ``into``.
    """
    into = Path(into)
    read = [Path(stimulus)] if isinstance(stimulus, str | Path) else []
    protect((into, "a recording"), read=[*read, *recordings_read(intervene)])
    if not isinstance(network, nn.Module):
        raise InputError(
            f"expected a network that is a torch.nn.Module; got {type(network).__name__}. Give a function a "
            "module whose forward calls it"
        )
    if isinstance(network, torch.jit.ScriptModule):
        network = Compiled(network)
    stimulus, flows = _as_stimulus(stimulus, flows)
    _check_counts(context=context, trials=trials, flows=flows, every=every, channels=channels)
    _check_storage(dtype, codec)
    if isinstance(units, Mapping):
        units = Units(**units)
    if isinstance(blank, Mapping):
        blank = Blank(**blank)
    checkpoints = {  # copies: they may be the tensors of the network itself
        seen: {name: tensor.clone() for name, tensor in weights.items()}
        for seen, weights in (checkpoints or {}).items()
    }
    session = Session.of(network, stimulus, _check_sites(network, sites, feed), context, every, feed)
    session, trial = session.beginning(trials, find_others=sites is None)
    if blank is not None:
        _check_blank_names(session.sites)
    if intervene:
        session, trial = session.one_frame_at_a_time(trials, trial)
    grid, law = _declared(network, session.sites)
    recorded_flows = range(session.frames.sizes["flow"])[:flows]
    recorded_trials = min(trials or stimulus.sizes["trial"], stimulus.sizes["trial"])
    layout = Layout(
        stimulus=stimulus,
        sites=_thinnings(network, session.sites, trial, channels, units),
        flows=recorded_flows,
        trials=recorded_trials,
        times=np.array(session.times),
        withheld=None
        if blank is None
        else Withheld.of(
            blank, session.frames, session.context, recorded_flows, recorded_trials, session.times
        ),
        checkpoints=sorted(checkpoints),
        grid=grid,
        law=law,
        dtype=np.dtype(dtype),
        codec=codec,
        frame_bytes=sum(4 * activity[:, :1].numel() for activity in trial.values()),
    )
    layout = with_interventions(layout, intervene, intervened_sites, session.context)
    if isinstance(session.feed, Calls):
        announce(f"called with {session.feed}")
    options = {"fixed_points": fixed_points, "exponents": exponents}
    worked_out = _worked_out(session, layout, options, announce)
    announce(f"recording {layout}")
    needed = layout.bytes + dynamics.bytes_of(worked_out, layout.dtype)
    _check_room(into, needed)
    asked: dict[str, Any] = {"trials": trials, "flows": flows, "every": every, "channels": channels}
    asked |= {"dtype": dtype, "units": units and asdict(units), "codec": codec}
    asked |= {"blank": blank and asdict(blank)}
    asked |= {name: dynamics.as_plain(given) for name, given in options.items() if given is not None}
    file_attrs = {**session.origin(stimulus, asked), **netcdf.attributes(attrs or {})}
    file_attrs |= {"context": session.context, **session.described(layout.interventions)}
    file_attrs.setdefault("parameters", sum(parameter.numel() for parameter in network.parameters()))
    with whole(into, needed) as temporary:
        extra = (curve or {}, checkpoints, worked_out)
        _write(temporary, session, layout, trial, file_attrs, *extra, report)
        seal_hdf5(temporary)
        netcdf.read(temporary, "recording").close()


def _worked_out(
    session: Session, layout: Layout, options: Mapping[str, Any], announce: Callable[[str], None]
) -> list[xr.Dataset]:
    """What the options ask for besides what the network does; conditions that are no flows are at rest."""
    if all(given is None for given in options.values()):
        return []
    group = layout.flow_group
    flows = [Flow(group, (0,) * len(group.components))]
    if all(f"flow_{component}" in layout.stimulus.coords for component in group.components):
        flows = coordinates.flows(layout.stimulus)[: len(layout.flows)]
    frames = session.frames[list(layout.flows), : layout.trials]
    return dynamics.work_out(session.network, frames, session.context, flows, group, options, announce)


def _thinnings(
    network: nn.Module,
    sites: Mapping[str, Site | None],
    trial: Mapping[str, torch.Tensor],
    channels: int | None,
    units: Units | None,
) -> dict[str, Thinning]:
    """How each site is thinned, from the activity of one trial; what is put out is kept whole."""
    return {
        name: Thinning(
            axes=site_axes(network, name, sites[name]),
            sizes=tuple(activity.shape[2:]),
            channels=None if name in OUTPUTS else channels,
            units=None if name in OUTPUTS else units,
        )
        for name, activity in trial.items()
    }


@dataclass(frozen=True, eq=False)
class Session:
    """A network in front of a stimulus, and what is recorded of it.

    Attributes
    ----------
    frames : DataArray (flow, trial, time, y, x)
    context : int
        How many frames the network sees.
    sites : mapping of name to Site, or None for a site of a flowsim network
    times : sequence of int
        Which frames are recorded.
    actions : Tensor (trial, time, component), optional
        Of the observer, for a network that takes them.
    kept : Kept
        The network as it was.
    """

    network: nn.Module
    frames: xr.DataArray
    context: int
    sites: Mapping[str, Site | None]
    times: Sequence[int]
    feed: Feed | None
    actions: torch.Tensor | None
    kept: apart.Kept

    @classmethod
    def of(
        cls,
        network: nn.Module,
        stimulus: xr.Dataset,
        sites: Mapping[str, Site | None],
        context: int | None,
        every: int,
        feed: Feed | None,
    ) -> Session:
        """The session of `record`.

        Raises
        ------
        InputError
            If the stimulus has no frames that the network can see, or the network mixes trials by itself.
        """
        frames = frames_by_name(stimulus)
        apart.check_modules(network)
        if isinstance(network, Network) and frames.shape[-2:] != network.frame_shape:
            raise InputError(
                f"the network expects frames {network.frame_shape}; the stimulus has "
                f"{tuple(frames.shape[-2:])}"
            )
        length = frames.sizes["time"]
        observes = isinstance(network, Network) and network.observes
        return cls(
            network=network,
            frames=frames,
            context=min(context or length, length),
            sites=sites,
            times=range(0, length, every),
            feed=feed,
            actions=observer_actions(stimulus.transpose("trial", "time", ...)) if observes else None,
            kept=apart.Kept(network),
        )

    def watch(
        self,
        flow: int,
        trials: slice | np.ndarray,
        thin: Mapping[str, Thin],
        companions_of: int | None = None,
        carried: dict[int, Any] | None = None,
        resumed: tuple[int, State] | None = None,
        then: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """Frames (trial, time, y, x), and activity at each site (trial, time, ...) while they are shown.

        Parameters
        ----------
        flow : int
        trials : slice or array of int
        thin : mapping of name to callable
        companions_of : int, optional
            The only one of these trials, counted from the first of them, that is shown as it is; the others
            are shown in negative.
        carried, resumed : optional
            See `flowsim.recording.watch.watch`.
        then : frame and flow, optional
            After this frame, those of another flow are shown.
        """
        frames = self.frames[flow, trials].values
        if then is not None and then[1] != flow:
            last, other = then
            rest = self.frames[other, trials].values[:, last + 1 :]
            frames = np.concatenate([frames[:, : last + 1], rest], 1)
        seen = to_network(frames, self.network)
        if companions_of is not None:
            others = np.arange(len(frames)) != companions_of
            seen[others] = 1 - seen[others]
        activity = self.activity(seen[:, : self.context], trials, thin, carried=carried, resumed=resumed)
        return frames, activity

    def activity(
        self,
        seen: torch.Tensor,
        trials: slice | np.ndarray,
        thin: Mapping[str, Thin],
        sites: Mapping[str, Site | None] | None = None,
        times: Sequence[int] | None = None,
        carried: dict[int, Any] | None = None,
        resumed: tuple[int, State] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Activity at each site (trial, time, ...) while a network sees frames (trial, time, channel, y, x),
        and then goes on by itself to the end of the stimulus.

        ``sites`` and ``times`` are those of the session if not given; for ``carried`` and ``resumed`` see
        `flowsim.recording.watch.watch`.
        """
        try:
            return watch(
                self.network,
                seen,
                horizon=self.frames.sizes["time"] - seen.shape[1],
                sites=self.sites if sites is None else sites,
                times=self.times if times is None else times,
                thin=thin,
                feed=self.feed,
                actions=None if self.actions is None else self.actions[trials],
                carried=carried,
                resumed=resumed,
            )
        finally:
            self.kept.restore()

    def watch_withheld(
        self, withheld: Withheld, flow: int, trials: slice, thin: Mapping[str, Thin]
    ) -> dict[str, torch.Tensor]:
        """Activity at each site (trial, time, ...) while the input is withheld."""
        frames = to_network(self.frames[flow, trials].values, self.network)
        predict = partial(self.predicted, withheld.times, trials, thin)
        return self.activity(withheld.replaced(frames, self.context, trials, predict), trials, thin)

    def predicted(
        self, times: Sequence[int], trials: slice, thin: Mapping[str, Thin], seen: torch.Tensor
    ) -> torch.Tensor:
        """What the network predicts (trial, time, y, x) of some frames after those that it has ``seen``.

        Raises
        ------
        InputError
            If it has no site "prediction".
        """
        sites = dict(self.sites)
        if isinstance(self.network, Network):
            sites.setdefault("prediction", None)
        if "prediction" not in sites:
            raise InputError(
                "blank: expected a network with a site prediction, which is then shown to it; it has "
                f"{', '.join(sites)}. Name the site, or use another by"
            )
        return self.activity(seen, trials, {**thin, "prediction": _copied}, sites, times)["prediction"]

    def donor_of(self, one: Intervention, flow: int, trials: slice, carried: State) -> State:
        """What a flowsim network carries in the other run of an interchange; where that is another order of
        the same trials, it need not be shown them again.
        """
        other_flow, others = one.donor(flow, trials)
        within = others - trials.start
        if other_flow == flow and ((within >= 0) & (within < len(others))).all():
            order = torch.from_numpy(within)
            return tuple(x[order.to(x.device)] if x.ndim > 1 else x for x in carried)
        return self.carried_after(one.at, other_flow, others)

    @torch.no_grad()
    def carried_after(self, time: int, flow: int, trials: np.ndarray) -> State:
        """What a flowsim network carries after a frame of some trials."""
        network: Any = self.network
        seen = to_network(self.frames[flow, trials].values, network)
        horizon = seen.shape[1] - self.context
        actions = None if self.actions is None else self.actions[trials]
        predict_from = first_predicted(self.sites, seen.shape[1])
        steps = network.steps(seen[:, : self.context], horizon, predict_from, actions)
        return next(step.carried for step in steps if step.time == time)

    @torch.no_grad()
    def intervened(
        self,
        one: Intervention,
        flow: int,
        trials: slice,
        thin: Mapping[str, Thin],
        carried: State | Parts | None,
    ) -> dict[str, torch.Tensor]:
        """Activity (trial, time, ...) at each site after an intervention.

        Parameters
        ----------
        one : Intervention
        flow : int
        trials : slice
        thin : mapping of name to callable
        carried : tuple of Tensor, or mapping of name to Tensor
            What a flowsim network carries after the frame of the intervention, or what another puts out.
        """
        if isinstance(self.network, Network):
            assert isinstance(carried, tuple)
            self.network.parts(carried)  # a network that does not go on from what it carries says so
            donor = self.donor_of(one, flow, trials, carried) if one.is_interchange else None
            state = one.replaced(self.network, carried, donor, flow, trials)
            return self.watch(one.shown(flow), trials, thin, resumed=(one.at, state))[1]
        assert isinstance(carried, dict)
        donors: Parts = {}
        if one.is_interchange:
            heard: dict[int, Parts] = {}
            with self.listening([one], heard):
                self.watch(*one.donor(flow, trials), thin)
            donors = heard[one.at]
        rng = one.noise_of(trials)
        grid = grid_of(self.network)
        new = {
            name: one.mixed(carried[name], donors.get(name), grid, name, flow, trials, rng)
            for name in self.places(one)
        }
        hooks = [ReplacedOutput(name, site, one.at, new[name]) for name, site in self.places(one).items()]
        with replacing(self.network, hooks):
            return self.watch(flow, trials, thin, then=(one.at, one.shown(flow)))[1]

    def places(self, one: Intervention) -> dict[str, Site | Output]:
        """Where a network of one's own puts out what an intervention replaces, by name."""
        return sites_replaced(one, self.network, self.sites, self.feed)

    @contextmanager
    def listening(self, interventions: Sequence[Intervention], carried: dict[int, Any]) -> Iterator[None]:
        """Within the block, keep what a network of one's own puts out at the frames of interventions, where
        they replace it, in ``carried[frame][name]``.
        """
        if isinstance(self.network, Network):
            yield
            return
        places = {(one.at, name): site for one in interventions for name, site in self.places(one).items()}
        carried |= {at: {} for at, _ in places}
        hooks = [ReplacedOutput(name, site, at, carried[at]) for (at, name), site in places.items()]
        with replacing(self.network, hooks):
            yield

    def one_frame_at_a_time(
        self, trials: int | None, trial: dict[str, torch.Tensor]
    ) -> tuple[Session, dict[str, torch.Tensor]]:
        """The session, and `one_trial` of it, with a network whose state was found among its outputs called
        once for every frame, so that what it goes on from can be replaced.

        Raises
        ------
        InputError
            If it does not go on from what it gave before.
        """
        if not isinstance(self.feed, Calls) or "state" not in self.feed.outputs:
            return self, trial
        first = self.trial_shown_first(trials)
        frames = to_network(self.frames[0, first : first + 1, : self.context].values, self.network)
        calls = stepwise(self.network, frames, self.feed)
        state = calls.outputs["state"]
        site = Site("", ("trial", "time", *state.axes), start=state.start)
        stepped = replace(self, feed=calls, sites={**self.sites, "state": site})
        return stepped, stepped.one_trial(trials)

    def beginning(self, trials: int | None, find_others: bool) -> tuple[Session, dict[str, torch.Tensor]]:
        """The session with all its sites and its feed, and `one_trial` of it.

        Parameters
        ----------
        trials : int, optional
        find_others : bool
            Whether whatever is found among the outputs of the network is recorded.

        Raises
        ------
        InputError
            If nothing is found, or a site is not as it was described.
        """
        if isinstance(self.network, Network) or self.feed is not None:
            return self, self.one_trial(trials)
        wanted = [name for name, site in self.sites.items() if site is None]
        if wanted or find_others:
            first = self.trial_shown_first(trials)
            frames = to_network(self.frames[0, first : first + 1, : self.context].values, self.network)
            calls = find_calls(self.network, frames, None if find_others else wanted)
            found = {
                name: Site("", ("trial", "time", *output.axes), start=output.start)
                for name, output in calls.outputs.items()
            }
            whole = replace(self, sites={**self.sites, **found}, feed=calls)
            return whole, whole.one_trial(trials)
        failures: list[Exception] = []
        for calls in ways_for_sites(self.network):
            tried = replace(self, feed=calls)
            try:
                return tried, tried.one_trial(trials)
            except Exception as error:  # whatever a network raises, it may take frames in another way
                failures.append(error)
        raise next((error for error in failures if isinstance(error, InputError)), failures[0])

    def origin(self, stimulus: xr.Dataset, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes that say by what the recording was made."""
        kind = type(self.network)
        sites = {name: site and asdict(site) for name, site in self.sites.items()}
        made = provenance("recording", {**asked, "context": self.context, "sites": sites})
        made |= {"network_class": f"{kind.__module__}.{kind.__qualname__}"}
        if isinstance(self.feed, Calls):
            made |= {"called": str(self.feed)}
        if "specification" in stimulus.attrs:
            made |= {"stimulus": str(stimulus.attrs["specification"])}
        return {name: value for name, value in made.items() if value}

    def described(self, interventions: Sequence[Intervention]) -> dict[str, str]:
        """Attributes that say what was done to the network."""
        return attributes(interventions, self.network, self.sites, self.feed)

    def trial_shown_first(self, trials: int | None) -> int:
        """The second trial: a recurrence over trials leaves the first as it is."""
        return min(1, (trials or 2) - 1, self.frames.sizes["trial"] - 1)

    def one_trial(self, trials: int | None) -> dict[str, torch.Tensor]:
        """Activity at each site in one trial of the first flow, not thinned: it shows the sizes."""
        first = self.trial_shown_first(trials)
        _, activity = self.watch(0, slice(first, first + 1), dict.fromkeys(self.sites, _copied))
        return activity


def _write(
    temporary: Path,
    session: Session,
    layout: Layout,
    alone: Mapping[str, torch.Tensor],
    attrs: Mapping[str, Any],
    curve: Mapping[str, Sequence[float]],
    checkpoints: Mapping[int, Mapping[str, torch.Tensor]],
    worked_out: list[xr.Dataset],
    report: Callable[[int, int], None],
) -> None:
    """Write a whole recording to a temporary path."""
    with (
        on_disk(temporary) as disk,
        h5netcdf.File(disk, "w") as file,
        ChunkWriter(file, layout.codec, disk.check) as writer,
    ):
        layout.create(file, attrs)
        for name, values in curve.items():
            if "validation" not in file.dimensions:
                file.dimensions["validation"] = len(values)
            file.create_variable(f"curve_{name}", ("validation",), data=np.asarray(values, np.float64))
        dynamics.add(file, worked_out, layout.dtype)
        _write_blocks(writer, session, layout, alone, report)
        _write_checkpoints(writer, session, layout, checkpoints, report)
        writer.finish()


def _write_blocks(
    writer: ChunkWriter,
    session: Session,
    layout: Layout,
    alone: Mapping[str, torch.Tensor],
    report: Callable[[int, int], None],
) -> None:
    """Show all trials to the network, some at a time, and write frames and activity.

    ``alone`` is the activity in the trial that was shown first, not thinned.
    """
    done = 0
    checked = session.trial_shown_first(layout.sizes["trial"])
    _, device = number_type(session.network)
    for first, flows, block in _blocks(layout):
        of_flows: list[dict[str, np.ndarray]] = []
        under_interventions: list[list[dict[str, np.ndarray]]] = [[] for _ in layout.interventions]
        for flow in flows:
            before = apart.random_states(device)
            carried: dict[int, Any] = {one.at: None for one in layout.interventions}
            with session.listening(layout.interventions, carried):
                if flow == 0 and block.start <= checked < block.stop:
                    frames, activity = _watch_checked(session, layout, block, alone, carried)
                else:
                    frames, activity = session.watch(flow, block, layout.sites, carried=carried)
            values = {"frames": frames[:, layout.times], **_arrays(activity)}
            values |= _withheld(session, layout, flow, block, before)
            values = {name: _as_stored(name, array, layout.dtype) for name, array in values.items()}
            of_flows.append(values)
            done += sum(array.nbytes for array in values.values())
            report(done, layout.bytes)
            for one, under in zip(layout.interventions, under_interventions, strict=True):
                values = _intervened(session, layout, one, flow, block, activity, carried[one.at])
                under.append(values)
                done += sum(array.nbytes for array in values.values())
                report(done, layout.bytes)
        writer.put(_side_by_side(of_flows), (first, block.start))
        for number, under in enumerate(under_interventions):
            writer.put(_side_by_side(under), (number, first, block.start))


def _blocks(layout: Layout) -> Iterator[tuple[int, Sequence[int], slice]]:
    """Of each block, the position of its first flow, which flows it has, and which trials."""
    trials = layout.sizes["trial"]
    for first_trial in range(0, trials, layout.trials_at_once):
        for first in range(0, len(layout.flows), layout.flows_at_once):
            flows = layout.flows[first : first + layout.flows_at_once]
            yield first, flows, slice(first_trial, min(first_trial + layout.trials_at_once, trials))


def _side_by_side(of_flows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays (flow, trial, time, ...) from those of each flow, which are taken away."""
    return {name: np.stack([arrays.pop(name) for arrays in of_flows]) for name in list(of_flows[0])}


def _arrays(activity: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in activity.items()}


def _withheld(
    session: Session, layout: Layout, flow: int, block: slice, random_states: Any
) -> dict[str, np.ndarray]:
    """Activity while the input is withheld, by the names of its variables; empty if it never is.

    ``random_states`` are those before the block was shown with all input: noise within the network, if it has
    any, is the same again.
    """
    if layout.withheld is None:
        return {}
    _, device = number_type(session.network)
    after = apart.random_states(device)
    apart.set_random_states(random_states, device)
    activity = session.watch_withheld(layout.withheld, flow, block, layout.sites)
    apart.set_random_states(after, device)
    return {f"{BLANK}{name}": values for name, values in _arrays(activity).items()}


def _intervened(
    session: Session,
    layout: Layout,
    one: Intervention,
    flow: int,
    block: slice,
    activity: Mapping[str, torch.Tensor],
    carried: Any,
) -> dict[str, np.ndarray]:
    """Activity under an intervention, by the names of its variables: until its frame that without."""
    after = session.intervened(one, flow, block, layout.sites, carried)
    joined = one.joined(
        {name: activity[name].numpy() for name in layout.intervened},
        {name: after[name].numpy() for name in layout.intervened},
        layout.times.tolist(),
    )
    return {f"{PREFIX}{name}": _as_stored(name, array, layout.dtype) for name, array in joined.items()}


def _write_checkpoints(
    writer: ChunkWriter,
    session: Session,
    layout: Layout,
    checkpoints: Mapping[int, Mapping[str, torch.Tensor]],
    report: Callable[[int, int], None],
) -> None:
    """Show all trials to the network as it was at each moment of its training, and write its activity.

    Raises
    ------
    InputError
        If weights do not fit the network.
    """
    network = session.network
    _, device = number_type(network)
    done = layout.bytes - layout.bytes_at_checkpoints
    try:
        for number, seen in enumerate(layout.checkpoints):
            try:
                network.load_state_dict(checkpoints[seen])
            except (RuntimeError, TypeError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(
                    f"checkpoints: expected weights of this network after {seen} sequences; they do not fit "
                    f"({reason})"
                ) from None
            then = replace(session, kept=apart.Kept(network))
            for first, flows, block in _blocks(layout):
                of_flows: list[dict[str, np.ndarray]] = []
                for flow in flows:
                    before = apart.random_states(device)
                    values = _arrays(then.watch(flow, block, layout.sites)[1])
                    values |= _withheld(then, layout, flow, block, before)
                    values = {
                        f"{name}{AT_CHECKPOINT}": _as_stored(name, array, layout.dtype)
                        for name, array in values.items()
                    }
                    of_flows.append(values)
                    done += sum(array.nbytes for array in values.values())
                    report(done, layout.bytes)
                writer.put(_side_by_side(of_flows), (number, first, block.start))
    finally:
        session.kept.restore()


def _watch_checked(
    session: Session,
    layout: Layout,
    block: slice,
    alone: Mapping[str, torch.Tensor],
    carried: dict[int, Any],
) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    """`Session.watch` for the block with the trial that was shown alone.

    Activity in that trial is compared with what it was alone. Where it differs by more than rounding, and
    always where more blocks follow, the block is shown once more with other companions and the same random
    numbers: only in a network that mixes trials, or carries something over, is the trial then another one.

    Raises
    ------
    InputError
        If activity in the trial depends on other trials.
    """
    network = session.network
    dtype, device = number_type(network)
    chosen = session.trial_shown_first(layout.sizes["trial"]) - block.start
    before = apart.random_states(device)
    try:
        frames, activity = session.watch(0, block, layout.sites, carried=carried)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise InputError(
            f"the network was shown one trial and then failed with a block of {block.stop - block.start} "
            f"({str(error).splitlines()[0]}). It needs to take any number of trials, and to keep no memory "
            "from call to call (reset it in `feed`)"
        ) from error
    inside = {name: values[chosen] for name, values in activity.items()}
    share = apart.tolerance(network, dtype)
    thinned = {name: layout.sites[name](values)[0] for name, values in alone.items()}
    blocks = layout.sizes["flow"] * layout.sizes["trial"] / (block.stop - block.start)
    if blocks > 1 or apart.differing(thinned, inside, share):
        after = apart.random_states(device)
        apart.set_random_states(before, device)
        _, again = session.watch(0, block, layout.sites, companions_of=chosen)
        apart.set_random_states(after, device)
        found = apart.differing(inside, {name: values[chosen] for name, values in again.items()}, share)
        if found is not None:
            raise apart.mixing(*found)
    return frames, activity


def _as_stored(name: str, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in the type of the file.

    Raises
    ------
    InputError
        If a finite one does not fit.
    """
    with np.errstate(over="ignore"):
        stored = values.astype(dtype, copy=False)
    if values.dtype.itemsize > dtype.itemsize:
        lost = np.isinf(stored) & np.isfinite(values)
        if lost.any():
            raise InputError(
                f"{name}: expected values up to {np.finfo(dtype).max:.5g}, the largest of {dtype}; got "
                f"{abs(values[lost]).max():.5g}. Record with a larger dtype: float{values.itemsize * 8}"
            )
    return stored


def _declared(network: nn.Module, sites: Mapping[str, Site | None]) -> tuple[VelocityGrid, Law | None]:
    """Velocities and law of the recorded state: a flowsim network declares them of its own state alone.

    Raises
    ------
    InputError
        If a state has velocities that the network does not name.
    """
    site = sites.get("state")
    if isinstance(network, Network) and "state" in sites and site is None:
        return network.grid, network.law
    if site is not None and "velocity" in site.axes:
        grid = getattr(network, "grid", None)
        if not isinstance(grid, VelocityGrid):
            raise InputError(
                "site state: expected a network that names the velocities along its axis velocity by an "
                f"attribute grid, a flowsim.VelocityGrid; got {type(grid).__name__}"
            )
        return grid, None
    return VelocityGrid(Translation(), ((0, 0),)), None


def _copied(values: torch.Tensor) -> torch.Tensor:
    return values.clone().cpu()


def _as_stimulus(given: Any, flows: int | Sequence[Sequence[float]] | None) -> tuple[xr.Dataset, int | None]:
    """A stimulus, and how many of its flows are recorded.

    Raises
    ------
    InputError
        If velocities are given for a stimulus that has its own.
    """
    count = flows if isinstance(flows, int) else None
    velocities = None if flows is None or isinstance(flows, int) else flows
    if not isinstance(given, xr.Dataset):
        return from_frames(given, flows=velocities), count
    if velocities is not None:
        raise InputError(
            "flows: expected how many flows of the stimulus to record, since a Dataset has velocities; "
            f"got {flows!r}. Give the array of its frames, or make a stimulus with flowsim.from_frames"
        )
    return stimulus_with_flows(netcdf.storable(given)), count


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"{name} must be 1 or more, or None for all; got {count}")


def _check_storage(dtype: str, codec: str) -> None:
    if dtype not in DTYPES or codec not in CODECS:
        raise InputError(
            f"expected a dtype of {', '.join(DTYPES)} and a codec of {', '.join(CODECS)}; "
            f"got {dtype!r} and {codec!r}"
        )


def _check_sites(
    network: nn.Module, sites: Sequence[str] | Mapping[str, Site | None] | None, feed: Feed | None
) -> dict[str, Site | None]:
    """Every site by name, None for one that a flowsim network has by itself, or that is to be found."""
    if sites is None and not isinstance(network, Network) and feed is None:
        return {}
    sites = ("state", "prediction") if sites is None else sites
    named = dict(sites) if isinstance(sites, Mapping) else dict.fromkeys(sites)
    for name in named:
        if name in RESERVED or not re.fullmatch(r"[A-Za-z]\w*", name):
            raise InputError(
                f"a site has a name of letters, digits and '_' other than {', '.join(RESERVED)}; got {name!r}"
            )
    without_module = [name for name, site in named.items() if site is None]
    unknown = [name for name in without_module if name not in NETWORK_SITES]
    if unknown or not named:
        raise InputError(
            f"unknown site {', '.join(unknown) or '(none)'}; expected some of: {', '.join(NETWORK_SITES)}"
        )
    if without_module and not isinstance(network, Network) and feed is not None:
        name = without_module[0]
        raise InputError(
            f"a {type(network).__name__} is not a flowsim network and has no site {name!r}; name the module "
            f"whose output it is: sites={{{name!r}: Site(module, axes)}}. Without `feed` it is looked for"
        )
    for name, site in named.items():
        _check_axes(network, name, site)
    return named


def _check_blank_names(sites: Mapping[str, Site | None]) -> None:
    """Raise an error if a site has the name of what another one does while the input is withheld."""
    taken = [name for name in sites if name.startswith(BLANK) and name.removeprefix(BLANK) in sites]
    if taken:
        raise InputError(
            f"blank: {taken[0]} is what {taken[0].removeprefix(BLANK)} does while the input is withheld; "
            "give the site of that name another one"
        )


def _check_axes(network: nn.Module, name: str, site: Site | None) -> None:
    """Raise an error if a recurrent module of torch would recur over trials."""
    if site is None or not {"trial", "time"} <= set(site.axes):
        return
    module = dict(network.named_modules(remove_duplicate=False)).get(site.module)
    kind = getattr(module, "original_name", type(module).__name__)
    over_trials = site.axes.index("trial") < site.axes.index("time")
    if kind in ("RNN", "GRU", "LSTM") and getattr(module, "batch_first", None) is False and over_trials:
        raise InputError(
            f"site {name}: the {kind} {site.module!r} without batch_first has (time, trial, unit); "
            f"with the axes {', '.join(site.axes)} it would recur over trials. Build it with batch_first "
            "or give `feed` and the axes time, trial, unit"
        )


def _check_room(into: Path, needed: int) -> None:
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {into}: {error.strerror}; choose a folder that can be written to"
        ) from None
    free = shutil.disk_usage(into.parent).free
    if needed > free:
        raise InputError(
            f"{into}: the recording may need {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free; "
            "record fewer trials, frames (every) or channels"
        )
