"""Which jobs each key of the config makes again, and which it must not."""

import copy

import pytest
from workflow.runs import HOME, tiny_config

from voxscale.jobs import Jobs
from voxscale.study import load_study, read_yaml

# The report shows the whole config, so that it is written again in any case.
PHANTOM = {"write_phantom_stimuli"}  # what is made of it follows as in any dataset
EXTRACTED = {f"extract_{kind}_features" for kind in ("control", "derived", "language", "speech")}
CELLS = {"fit_encoding", "predict_encoding"}
FIT_TEXT = {"extract_language_features", "extract_derived_features", "fit_banded", *CELLS}
HEARD = {"extract_speech_features", *CELLS}
FITS = {"fit_banded", "stack_models", *CELLS}
LAWS = {"fit_law", "fit_joint"}
RESAMPLED = LAWS | {"measure_artifact", "profile_layers", "stack_models"}
DRAWN = RESAMPLED | {"compare_models", "scan_lags"}  # bootstrap draws
SIZES = FITS | RESAMPLED | {"estimate_ceiling"}
# key: another value, and the rules whose own parameters change or that have further jobs. What depends on
# these follows; behind an `ancient` input nothing does, so the reader must be named here, too.
KEYS = {
    "dataset.kind": None,  # another dataset
    "dataset.root": ("./results/../results/phantom/", set()),
    "dataset.subjects": (["UTS02", "UTS01"], set()),
    "dataset.average": None,  # another subject
    "dataset.test_stories": (
        ["thelighthousekeeper", "themapmaker"],
        {
            *(EXTRACTED - {"extract_derived_features"} | PHANTOM),
            *(
                "read_story",
                "describe_subject",
                "digest_sounds",
                "digest_responses",
                "prepare_responses",
                "scan_lags",
                "estimate_ceiling",
            ),
        },
    ),
    "dataset.training_stories": None,
    "dataset.tr_s": (1.5, SIZES | {"read_story", "gather_scores", "scan_lags", "compare_models"}),
    "dataset.trim": ([9, 5], FITS | {"read_story", "extract_derived_features"}),
    "dataset.url": ("https://mirror", set()),
    "dataset.defects": (None, set()),
    "dataset.voxels": None,
    "dataset.keep": ("none", {"prepare_responses"}),  # with the same content
    "dataset.untimed_words": ("skip", {"read_story"}),
    "dataset.weak_repeats": ("accept", {"prepare_responses"}),
    "dataset.bids": None,  # which files there are
    "dataset.fmriprep": None,  # and how they are read
    "phantom.seed": (2, PHANTOM),
    "phantom.voxels": (61, PHANTOM),
    "phantom.repeats": (5, PHANTOM),
    "phantom.words_per_story": (61, PHANTOM),
    "phantom.words_per_minute": (130, PHANTOM),
    "models": ({"tiny-opt-1": {"build": {"seed": 9}}}, {"prepare_model"}),
    "cluster": ({"all": {"account": "lab"}, "cpu": {"partition": "long"}, "gpu": {"max_cores": 4}}, set()),
    "container": ("voxscale.sif", set()),
    "features.device": ("cpu", set()),
    "features.device_map": ("auto", set()),
    "features.max_memory.gpu": ("70GiB", set()),
    "features.max_memory.cpu": ("70GiB", set()),
    "features.allow_quantized": (True, set()),
    "features.on_disk": ("float16", EXTRACTED | CELLS | {"fit_banded"}),
    "features.text.unit": ("tokens", FIT_TEXT),
    "features.text.max_context": (300, FIT_TEXT),
    "features.text.restart_at": (48, FIT_TEXT),
    "features.text.dtype": ("bfloat16", FIT_TEXT),
    "features.text.token_budget": (100, set()),
    "features.text.bits_per_character": (False, {"extract_language_features"}),  # beside the features
    "features.speech.window_s": (3.0, HEARD),
    "features.speech.stride_s": (0.2, HEARD),
    "features.speech.front_end": ("story", HEARD),
    "features.speech.dtype": ("bfloat16", HEARD),
    "features.control.mel_bands": (16, {"extract_control_features", "fit_encoding", "fit_banded"}),
    "features.control.seed": (1, {"extract_control_features", "fit_encoding"}),
    "encoding.preset": ("paper", SIZES),
    "encoding.delays": ([1, 2], FITS | {"scan_lags"}),
    "encoding.delays_across_stories": (True, FITS),
    "encoding.zscore_test": ("story", FITS),
    "encoding.folds.kind": ("chunks", FITS),
    "encoding.folds.n": (4, FITS),
    "encoding.folds.chunk_trs": (10, FITS),
    "encoding.folds.held_out_share": (0.3, FITS),
    "encoding.alphas.scale": ("absolute", FITS),
    "encoding.alphas.log10_min": (-2, FITS),
    "encoding.alphas.log10_max": (3, FITS),
    "encoding.alphas.n": (10, FITS | {"gather_scores"}),
    "encoding.layer_choice": ("test", RESAMPLED),
    "encoding.form": ("dual", FITS),
    "encoding.precision": ("float64", FITS),
    "encoding.screen": ("off", FITS),
    "encoding.device": ("cpu", set()),
    "encoding.memory_gb": (5, set()),
    "encoding.job_minutes": (0, {"fit_encoding"}),  # other jobs; their finished cells are kept
    "encoding.seed": (1, FITS - {"stack_models"}),
    "scoring.skip_s": (10, SIZES | PHANTOM | {"draw_figure", "gather_scores", "compare_models"}),
    "scoring.block_trs": (5, FITS | RESAMPLED | {"scan_lags"}),
    "scoring.permutations": (60, FITS | {"compare_models"}),
    "scoring.fdr": (0.1, {"gather_scores", "draw_figure"}),
    "scoring.significant_in": ("maps", {"gather_scores"}),
    "ceiling.floor": (0.2, {"estimate_ceiling"}),
    "ceiling.kind": ("none", {"estimate_ceiling"}),
    "bootstrap.draws": (60, DRAWN),
    "bootstrap.interval": (0.8, DRAWN | {"estimate_ceiling", "draw_figure"}),
    "bootstrap.seed": (1, DRAWN),
    "sweeps.size.models": None,  # which cells there are: tests of the grid
    "sweeps.size.layers": None,
    "sweeps.size.subjects": (["UTS01"], RESAMPLED - {"stack_models"} | {"gather_scores", "compare_models"}),
    "sweeps.size.n_train": ([3, "all"], LAWS | {"fit_encoding", "gather_scores", "profile_layers"}),
    "sweeps.size.draws": (3, LAWS | {"fit_encoding"}),
    "controls.features": (
        ["word_rate", "time_since_onset"],
        {"prepare_model", "extract_control_features", "fit_encoding", "gather_scores"},
    ),
    "controls.untrained": ("none", {"gather_scores", "draw_figure"}),
    "laws.opt.sweep": None,
    "laws.opt.x": ("width", {"fit_law"}),
    "laws.opt.x_label": ("size", {"draw_figure"}),
    "laws.opt.voxels": (["all"], {"fit_law"}),
    "laws.opt.drawn": (["significant"], {"draw_figure"}),
    "laws.opt.families": ("intercepts", {"fit_law"}),
    "joint.sweep": None,
    "joint.voxels": (["significant"], {"fit_joint"}),
    "plateau.width": (
        4,
        {
            *("prepare_model", "extract_derived_features", "fit_encoding"),
            *("fit_law", "gather_scores", "draw_figure"),
        },
    ),
    "profiles.sweep": None,
    "stacking.members": (
        [{"model": "tiny-opt-2"}, {"model": "tiny-hubert-1"}],
        {"stack_models", "predict_encoding"},
    ),
    "banded.both.bands": ([{"model": "tiny-opt-2"}, {"model": "mel"}], {"fit_banded"}),
    "banded.both.samples": (10, {"fit_banded"}),
    "comparisons.two.a": (
        {"model": "tiny-opt-3", "layer": 1},
        {"gather_scores", "compare_models", "draw_figure"},
    ),
    "comparisons.two.b": ({"model": "mel"}, {"gather_scores", "compare_models", "draw_figure"}),
    "maps.language": ("tiny-opt-1", {"gather_scores", "measure_artifact"}),
    "maps.speech": None,
    "partial": None,  # gathers apart, and makes no fit: tests of partial reports
}
NAMED = {"sweeps": "size", "laws": "opt", "banded": "both", "comparisons": "two"}


def config():
    """A study that has every rule's jobs."""
    parts = {
        "sweeps": {
            "size": {
                "models": ["tiny-opt-1", "tiny-opt-2", "tiny-opt-3"],
                "layers": [1, 2],
                "n_train": [2, "all"],
                "draws": 2,
            },
            "heard": {"models": ["tiny-hubert-1", "mel", "autocorrelation", "word_rate"]},
        },
        "laws": {"opt": {"sweep": "size", "x": "parameters"}},
        "joint": {"sweep": "size"},
        "profiles": {"sweep": "size"},
        "plateau": {"width": 8},
        "stacking": {"members": [{"model": "tiny-opt-1"}, {"model": "tiny-hubert-1"}]},
        "banded": {"both": {"bands": [{"model": "tiny-opt-1"}, {"model": "mel"}]}},
        "comparisons": {"two": {"a": {"model": "tiny-opt-2", "layer": 1}, "b": {"model": "tiny-hubert-1"}}},
        "controls": {"features": ["word_rate"], "untrained": ["tiny-opt-1"]},
    }
    return tiny_config() | parts


@pytest.fixture(scope="module")
def whole():
    return config()


@pytest.fixture(scope="module")
def digests(whole):
    return digests_of(whole)


def digests_of(config, gpu=False):
    jobs = Jobs(load_study(config, gpu=gpu))
    return {(job.rule, *sorted(job.wildcards.items())): jobs.digest(job) for job in jobs.all()}


def made_again(config, digests, **options):
    """Rules whose own parameters change, or that have further jobs; without the report."""
    now = digests_of(config, **options)
    return {rule for rule, *_ in (job for job, digest in now.items() if digests.get(job) != digest)} - {
        "write_report"
    }


def with_value(whole, key, value):
    config = at = copy.deepcopy(whole)
    *parents, last = key.split(".")
    for name in parents:
        at = at.setdefault(name, {})
    at[last] = value
    return config


@pytest.mark.parametrize("key", [key for key, change in KEYS.items() if change])
def test_a_changed_key_makes_again_what_it_decides(whole, digests, key):
    value, rules = KEYS[key]
    assert made_again(with_value(whole, key, value), digests) == rules


def keys_of(schema, *path):
    """Every key of the schema that has no keys of its own, or free ones."""
    inner = schema.get("properties", {})
    if path and path[-1] in NAMED and isinstance(schema["additionalProperties"], dict):
        inner = {NAMED[path[-1]]: schema["additionalProperties"]}
    if path and ".".join(path) in KEYS:
        inner = {}
    for name, part in inner.items():
        yield from keys_of(part, *path, name)
    if not inner:
        yield ".".join(path)


def test_every_key_is_named():
    schema = read_yaml(HOME / "workflow/scripts/voxscale/study/schema.yaml")
    assert set(keys_of(schema)) == KEYS.keys()


def test_another_order_of_keys_makes_nothing_again(whole, digests):
    turned = {key: dict(reversed(part.items())) for key, part in reversed(whole.items())}
    assert made_again(turned, digests) == set()
    assert Jobs(load_study(turned)).study.selections["all"] == Jobs(load_study(whole)).study.selections["all"]


def test_what_only_names_a_model_or_says_how_it_is_had_makes_no_features_again(whole, digests):
    entry = {"family": "another", "gated": True, "dtype": "bfloat16"}
    assert made_again(whole | {"models": {"tiny-opt-1": entry}}, digests) == {"gather_scores"}


def test_a_model_has_a_context_of_its_own(whole, digests):
    changed = whole | {"models": {"tiny-opt-1": {"context": {"max_context": 96, "restart_at": 48}}}}
    now = digests_of(changed)
    found = {job for job, digest in now.items() if digests[job] != digest and job[0] != "write_report"}
    models = {dict(job[1:]).get("model") for job in found if job[0] != "fit_banded"}
    assert models == {"tiny-opt-1", "tiny-opt-1-untrained", "tiny-opt-1-pca8"}
    assert {job[0] for job in found} == FIT_TEXT


def test_where_there_is_a_gpu_a_named_processor_is_another_precision(whole):
    on_gpu = digests_of(whole, gpu=True)
    assert made_again(with_value(whole, "features.device", "cpu"), on_gpu, gpu=True) == FIT_TEXT | HEARD
    assert made_again(with_value(whole, "features.device", "cuda"), on_gpu, gpu=True) == set()
    single = with_value(whole, "features.text.dtype", "float32")
    single = with_value(single, "features.speech.dtype", "float32")
    assert made_again(with_value(single, "features.device", "cpu"), digests_of(single, gpu=True)) == set()
