"""The figures of a study: one record each, from which the rule, the plan and both reports follow.

A new figure is a record here and a drawing function in a module of `voxscale.figures`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxscale.jobs.analysis import has_truth
from voxscale.jobs.record import Wildcards
from voxscale.study import Study, law_drawn

Inputs = Mapping[str, Sequence[Wildcards]]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        name: of its files `results/figures/<name>.png`, `.pdf` and `.csv`.
        draw: `<module>.<function>` of `voxscale.figures`: tables and options -> figure and plotted numbers.
        category: title of the report's section that shows it (`workflow/report/story.yaml`).
        caption: plain text.
        inputs: the tables that the function takes, by the name of its argument, which is also the name of the
            output of the table's rule; of each the wildcards of every file.
        options: the function's other arguments.
        when: whether a study has the data for it.
    """

    name: str
    draw: str
    category: str
    caption: str
    inputs: Callable[[Study], Inputs]
    options: Callable[[Study], dict[str, Any]] = lambda study: {}
    when: Callable[[Study], bool] = lambda study: True


def figures_of(study: Study) -> dict[str, Figure]:
    """The figures that a study has the data for, by name, in the report's order."""
    return {figure.name: figure for figure in FIGURES if figure.when(study)}


ONE: list[Wildcards] = [{}]  # the only file of a table
MAPS: list[Wildcards] = [{"selection": "maps"}]


def _subjects(study: Study) -> list[Wildcards]:
    return [{"subject": subject} for subject in study.subjects]


def _stacks(study: Study) -> Inputs:
    return {"stacking": _subjects(study), "voxels": MAPS}


def _has_stacks(study: Study) -> bool:
    return bool(study.config["stacking"]["members"])


def _law_figure(kind: str, name: str, caption: str) -> Figure:
    """The figure of the study's chief law of a kind, see `Study.chief_laws`."""

    def inputs(study: Study) -> Inputs:
        law = study.chief_laws[kind]
        tables = {name: [{"law": law}] for name in ("laws", "law_points", "law_curves")}
        return tables | {"summary": [{"selection": study.config["laws"][law]["sweep"]}]}

    def options(study: Study) -> dict[str, Any]:
        law, interval = study.chief_laws[kind], study.config["bootstrap"]["interval"]
        return {"law": law, "interval": interval, "voxel_sets": law_drawn(study, law)}

    caption += (
        " Significant voxels, where they are shown, are the same in every law: those that the models of the "
        "brain maps predict inside the training stories."
    )
    return Figure(
        name,
        "scaling.draw_law",
        "Scaling laws",
        caption,
        inputs,
        options,
        lambda study: kind in study.chief_laws,
    )


def _plateau_inputs(study: Study) -> Inputs:
    arms = [{"law": law} for law in study.plateau_arms]
    return {"laws": arms, "law_points": arms, "plateau": ONE, "plateau_fits": ONE}


FIGURES = (
    _law_figure(
        "language",
        "score_by_language_model_size",
        "Score against the size of the language model. One line per subject, the mean of subjects in black; "
        "the shape of a marker is the model's family. The dashed line is the law fitted to the mean of "
        "subjects. Its band is the interval of the law for models drawn anew: blocks of test TRs are "
        "resampled (the same draws for every model), and models scatter about the law as these do. The "
        "table of slopes also has the narrower interval of these models. The legend gives the slope in "
        "absolute units per tenfold size, and as a percentage of the named score.",
    ),
    _law_figure(
        "speech",
        "score_by_speech_model_size",
        "Score against the size of the speech model: HuBERT, WavLM and Whisper encoders, counted in the "
        "parameters that compute the features. There is a panel for each set of voxels that the config "
        "names. Lines, law and band as in the figure for language models. Where the law gives each family an "
        "intercept of its own, the thick dashed line is that of the mean intercept and a thin one runs "
        "through each family: families differ in level, and without intercepts that would look like an "
        "effect of size.",
    ),
    _law_figure(
        "training",
        "score_by_training_hours",
        "Score against the hours of training data. Below the full set the stories are drawn at random, "
        "nested and seeded; each small dot is one draw, each line a subject's mean over draws, the mean of "
        "subjects in black. The law's interval covers both the test TRs and the draws.",
    ),
    Figure(
        name="score_by_layer",
        draw="layers.draw_layers",
        category="Layers",
        caption="Score by layer, at relative depth, one panel for each family. Thick lines are means over "
        "subjects, thin lines single subjects, each in its interval over test blocks; a ring marks the "
        "layers that cross-validation inside the training stories chose.",
        inputs=lambda study: {"layers": ONE},
        options=lambda study: {"order": study.by_size(study.profile_cells)},
        when=lambda study: bool(study.profile_cells),
    ),
    Figure(
        name="map_scores",
        draw="maps.draw_score_maps",
        category="Maps",
        caption="Test correlation of every voxel on the inflated cortex (fsaverage5): both hemispheres from "
        "the side and from the midline. Each voxel colours its vertex and, for display only, empty "
        "neighbours; grey cortex has no voxel. Values below zero take the first colour, values beyond the "
        "99th percentile the last, as the arrows of the colour bars show.",
        inputs=lambda study: {"scores": MAPS, "voxels": MAPS},
    ),
    Figure(
        name="score_distribution",
        draw="distributions.draw_score_distribution",
        category="Maps",
        caption="Test correlations over voxels: histogram, and share of voxels above each correlation. One "
        "line per subject, their mean in black, the highest voxel of each subject in the legend.",
        inputs=lambda study: {"scores": MAPS},
    ),
    Figure(
        name="map_ceiling",
        draw="maps.draw_ceiling_maps",
        category="Noise ceilings",
        caption="The noise ceiling CCmax, the score on its stories as a share of it (CCnorm), and the room "
        "left between the two, on the inflated cortex. Voxels whose ceiling is not reliable have no colour.",
        inputs=lambda study: {"voxels": MAPS, "room": ONE},
    ),
    Figure(
        name="ceiling_distribution",
        draw="distributions.draw_ceiling_distribution",
        category="Noise ceilings",
        caption="Noise ceilings of the reliable voxels, the score on its stories as a share of it, and the "
        "room left, one outline per subject; triangles are medians. The legend gives the share of voxels "
        "that are reliable.",
        inputs=lambda study: {"voxels": MAPS, "room": ONE},
    ),
    Figure(
        name="ceiling_drift",
        draw="checks.draw_ceiling_drift",
        category="Noise ceilings",
        caption="The response to the test story from one hearing to the next: mean correlation by region. A "
        "slope is familiarity, not noise.",
        inputs=lambda study: {"drift": _subjects(study)},
    ),
    Figure(
        name="stacking_gain",
        draw="maps.draw_stacking_gain",
        category="Stacking",
        caption="What stacking gains over the stack of the language models alone: where (maps), in how many "
        "voxels (histogram, the share on a scale that is linear below 1 % and logarithmic above), and in "
        "which regions. Weights were found on out-of-fold predictions of the training stories, gains are "
        "measured on the test stories.",
        inputs=_stacks,
        when=_has_stacks,
    ),
    Figure(
        name="variance_partition",
        draw="distributions.draw_variance_partition",
        category="Stacking",
        caption="Variance that only language features, only speech features, or either of them explain, by "
        "region: bars are means of subjects, marks are single subjects.",
        inputs=_stacks,
        when=_has_stacks,
    ),
    Figure(
        name="what_next",
        draw="outlook.draw_what_next",
        category="What to do next",
        caption="Scan more, or use a bigger model? Left: the joint law of model size and training hours, "
        "with lines of equal score; dots are measured scores in the same colours, so that a dot that cannot "
        "be seen on its background is one that the law predicts. Right: the gain that each next step is "
        "expected to bring, with its interval. A gain is the median over resamples of all forms of the law, "
        "each form as often as it is likely to be the best, so that the intervals include how uncertain the "
        "form is. How often such intervals contain the truth of simulated studies is in docs/validation.md; "
        "they do not include how far a next model may lie from the law.",
        inputs=lambda study: {"joint": ONE, "joint_surface": ONE, "what_next": ONE},
        when=lambda study: bool(study.joint_cells),
    ),
    Figure(
        name="plateau",
        draw="outlook.draw_plateau",
        category="What to do next",
        caption="Is the plateau due to the models, or to the number of features? Hollow marks have more "
        "features than there are training TRs. Raw features and, if the config sets a width, next to them "
        "each model's features reduced to that many principal components, which are fitted to the stimulus "
        "of the training stories; laws with and without the hollow marks. Right: the same scores against how "
        "well each model predicts the words of the same stories. Models of random weights, such as the "
        "demo's, all predict them equally well: for them the right panel shows nothing.",
        inputs=_plateau_inputs,
        options=lambda study: {"arms": study.plateau_arms},
        when=lambda study: bool(study.plateau_arms),
    ),
    Figure(
        name="controls",
        draw="checks.draw_controls",
        category="Controls",
        caption="Every model and the controls. Bars are means of subjects, marks are single subjects. A "
        "model that does not score above the controls has not shown any knowledge of language. The untrained "
        "control has the shape of a model of this study and random weights; the demo's own tiny models have "
        "random weights too, so that the control must score as high as its twin there.",
        inputs=lambda study: {"summary": [{"selection": "all"}]},
        options=lambda study: {"controls": study.untrained},
    ),
    Figure(
        name="long_context_artifact",
        draw="checks.draw_artifact",
        category="The first seconds of a test story",
        caption="What the first seconds of a test story add to its scores, by region: score when more or "
        "less is cut from the story's start, minus the score at this study's own cut (dashed). Bands are the "
        "interval of each subject's difference, both cuts resampled together; there is none where fewer than "
        "five blocks distinguish the two cuts. Each panel has its own scale, and gives the score at that cut "
        "and without any cut, and by how many percent they differ where there is a score.",
        inputs=lambda study: {"artifact": ONE},
        options=lambda study: {"cut_s": study.config["scoring"]["skip_s"]},
    ),
    Figure(
        name="validation",
        draw="truth.draw_validation",
        category="Validation against known truth",
        caption="The pipeline against known truth. Left: models that see the first dimensions of the latent "
        "variable that drives the phantom. With unlimited training data their score is a straight line in "
        "the logarithm of the number of dimensions (dotted); the truth to recover is what ridge must reach "
        "with the available training stories, where wide models lose a little. Right: each recovered "
        "quantity, its distance from the truth in units of its interval's half width: inside the band the "
        "interval contains the truth.",
        inputs=lambda study: {"validation": ONE},
        when=has_truth,
    ),
)
