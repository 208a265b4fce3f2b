"""The schema of every table: what each column means, and in which unit."""

from __future__ import annotations

import pyarrow as pa


def _column(name: str, kind: pa.DataType, unit: str, description: str, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"unit": unit, "description": description})


MODEL = _column("model", pa.string(), "name", "model's name in the config")
LAYER = _column("layer", pa.int32(), "index", "layer; 0 is the embedding output")
SUBJECT = _column("subject", pa.string(), "name", "subject as the dataset names it")
N_TRAIN = _column("n_train", pa.int32(), "stories", "training stories")
DRAW = _column("draw", pa.int32(), "index", "nested random draw of the training stories")
VOXEL = _column("voxel", pa.int32(), "index", "voxel: column of the dataset's response files")
STORY = _column("story", pa.string(), "name", "story as the dataset names it")

SET = _column("voxel_set", pa.string(), "name", "all, reliable, significant, roi:<name> or decile:<1-10>")
ROI = _column("roi", pa.string(), "name", "region, or all")
LAW = _column("law", pa.string(), "name", "law of the config")
GROUP = _column("group", pa.string(), "name", "all, one family, or (laws of data) one model")
METRIC = _column("metric", pa.string(), "name", "r: mean correlation; r2: mean signed r² = r·|r|")

SCHEMAS: dict[str, pa.Schema] = {
    "words": pa.schema(
        [
            STORY,
            _column("index", pa.int32(), "index", "position of the word in its story"),
            _column("word", pa.string(), "text", "the word as transcribed"),
            _column("onset_s", pa.float64(), "s", "start of the word after the start of the sound"),
            _column("offset_s", pa.float64(), "s", "end of the word after the start of the sound"),
        ]
    ),
    "phones": pa.schema(
        [
            STORY,
            _column("index", pa.int32(), "index", "position of the phone in its story"),
            _column("phone", pa.string(), "text", "the phone as transcribed"),
            _column("onset_s", pa.float64(), "s", "start of the phone after the start of the sound"),
            _column("offset_s", pa.float64(), "s", "end of the phone after the start of the sound"),
        ]
    ),
    "clock": pa.schema(
        [
            STORY,
            _column("row", pa.int32(), "TR", "row of the stimulus clock, and of the features"),
            _column("onset_s", pa.float64(), "s", "start of the TR after the start of the sound"),
            _column("mid_s", pa.float64(), "s", "middle of the TR, where features are sampled"),
            _column("in_response", pa.bool_(), "flag", "whether the responses keep this TR"),
        ]
    ),
    "subjects": pa.schema(
        [
            SUBJECT,
            STORY,
            _column("role", pa.string(), "name", "train or test"),
            _column("n_tr", pa.int32(), "TR", "response TRs"),
            _column("hours", pa.float64(), "h", "response TRs in hours"),
            _column("n_words", pa.int32(), "words", "words in the story"),
            _column("stimulus_sha", pa.string(), "hash", "digest of the words and clock of the story"),
        ]
    ),
    "scores": pa.schema(
        [
            MODEL,
            LAYER,
            SUBJECT,
            N_TRAIN,
            DRAW,
            VOXEL,
            _column(
                "r", pa.float32(), "correlation", "test correlation without the first seconds; NaN: none"
            ),
            _column("r_uncut", pa.float32(), "correlation", "test correlation over all test TRs"),
            _column("cv_r", pa.float32(), "correlation", "mean held-out correlation at the chosen alpha"),
            _column("alpha", pa.float32(), "1", "chosen ridge alpha (lambda = alpha squared)"),
            _column("alpha_edge", pa.int8(), "sign", "-1: alpha is the smallest of its grid, 1: the largest"),
            _column("p", pa.float32(), "probability", "block permutation p of r; NaN: not tested"),
            _column("train_trs", pa.int32(), "TR", "training TRs of this draw"),
            _column("train_hours", pa.float32(), "h", "training hours of this draw"),
            _column("n_features", pa.int32(), "features", "features times delays"),
        ]
    ),
    "bands": pa.schema(
        [
            MODEL,
            SUBJECT,
            N_TRAIN,
            _column("band", pa.int32(), "index", "band, in the config's order"),
            _column("band_model", pa.string(), "name", "model of the band"),
            _column("band_layer", pa.int32(), "index", "layer of the band"),
            VOXEL,
            _column("share", pa.float32(), "1", "share of the kernel; those of all bands add up to 1"),
            _column("r", pa.float32(), "correlation", "part of the test correlation; all bands add up to it"),
        ]
    ),
    "ceiling": pa.schema(
        [
            SUBJECT,
            VOXEL,
            _column("n_repeats", pa.int32(), "repeats", "repeats of the test stories; 0: no ceiling"),
            _column("signal_power", pa.float64(), "response²", "variance that repeats share; can be below 0"),
            _column("signal_power_lo", pa.float64(), "response²", "lower end of its interval"),
            _column("signal_power_hi", pa.float64(), "response²", "upper end of its interval"),
            _column("noise_power", pa.float64(), "response²", "variance of one repeat that others lack"),
            _column("explainable", pa.float64(), "share", "signal power in one repeat's variance, unbiased"),
            _column("ccmax", pa.float64(), "correlation", "ceiling for the mean of repeats; NaN: undefined"),
            _column("ccmax_lo", pa.float64(), "correlation", "lower end of its interval"),
            _column("ccmax_hi", pa.float64(), "correlation", "upper end of its interval"),
            _column("drift", pa.float64(), "correlation/repeat", "trend of a repeat's r with the others"),
            _column("reliable", pa.bool_(), "flag", "signal power's interval lies above 0"),
        ]
    ),
    "drift": pa.schema(
        [
            SUBJECT,
            ROI,
            _column("repeat", pa.int32(), "index", "repeat of the test stories, from 1"),
            _column("r", pa.float64(), "correlation", "mean r of the repeat with the mean of the others"),
            _column("n_voxels", pa.int32(), "voxels", "reliable voxels averaged"),
        ]
    ),
    "room": pa.schema(
        [
            MODEL,
            LAYER,
            SUBJECT,
            VOXEL,
            _column("r", pa.float64(), "correlation", "test correlation of the model of the brain maps"),
            _column("ccmax", pa.float64(), "correlation", "noise ceiling; NaN: unreliable"),
            _column("ccnorm", pa.float64(), "r/ceiling", "share of the ceiling reached, r / ccmax"),
            _column("room", pa.float64(), "correlation", "room left, ccmax less r"),
            _column("chosen", pa.bool_(), "flag", "of the maps' models the voxel's best inside training"),
        ]
    ),
    "voxels": pa.schema(
        [
            SUBJECT,
            VOXEL,
            _column("hemisphere", pa.string(), "name", "left or right, where the dataset says so", null=True),
            _column("vertex", pa.int32(), "index", "vertex of the cortical mesh, where known", null=True),
            _column("roi", pa.string(), "name", "region, where the dataset says so", null=True),
            _column("ccmax", pa.float64(), "correlation", "noise ceiling for the mean of repeats"),
            _column("explainable", pa.float64(), "share", "signal power in one repeat's variance"),
            _column("reliable", pa.bool_(), "flag", "the noise ceiling is reliable"),
            _column("decile", pa.int32(), "1-10", "tenth of the reliable voxels by ceiling", null=True),
            _column("significant", pa.bool_(), "flag", "a reference predicts it inside the training stories"),
            _column("reference", pa.string(), "name", "cells behind significant: the maps' models"),
        ]
    ),
    "summary": pa.schema(
        [
            MODEL,
            LAYER,
            SUBJECT,
            N_TRAIN,
            DRAW,
            SET,
            _column("family", pa.string(), "name", "family of the model"),
            _column("modality", pa.string(), "name", "language, speech, control or nested"),
            _column("parameters", pa.int64(), "parameters", "of the whole model", null=True),
            _column("parameters_non_embedding", pa.int64(), "parameters", "without embeddings", null=True),
            _column("n_layers", pa.int32(), "layers", "layers behind the embedding output"),
            _column("width", pa.int32(), "features", "features of one layer; empty for controls", null=True),
            _column("depth", pa.float64(), "share", "layer / n_layers"),
            _column("train_trs", pa.int32(), "TR", "training TRs of this draw"),
            _column("train_hours", pa.float64(), "h", "training hours of this draw"),
            _column("n_features", pa.int32(), "features", "features times delays"),
            _column("wide", pa.bool_(), "flag", "more features times delays than training TRs (p > n)"),
            _column("n_voxels", pa.int32(), "voxels", "voxels of the set that have a score"),
            _column("n_nan", pa.int32(), "voxels", "voxels of the set without a score"),
            _column("mean_r", pa.float64(), "correlation", "mean test r over the set"),
            _column("mean_r2", pa.float64(), "signed r²", "mean of r·|r| over the set"),
            _column("median_r", pa.float64(), "correlation", "median test r"),
            _column("max_r", pa.float64(), "correlation", "largest test r"),
            _column("mean_r_uncut", pa.float64(), "correlation", "mean r with the first seconds kept"),
            _column("mean_cv_r", pa.float64(), "correlation", "mean held-out r inside the training stories"),
            _column("mean_ccnorm", pa.float64(), "r/ceiling", "mean r/ccmax over its reliable voxels"),
            _column("share_significant", pa.float64(), "share", "voxels below the false discovery rate"),
            _column("share_alpha_edge", pa.float64(), "share", "voxels whose alpha is at its grid's edge"),
            _column("share_alpha_low", pa.float64(), "share", "voxels whose alpha is the grid's smallest"),
        ]
    ),
    "stacking": pa.schema(
        [
            SUBJECT,
            VOXEL,
            _column("r_stacked", pa.float64(), "correlation", "test r of the stack of all members"),
            _column("r_language", pa.float64(), "correlation", "test r of the stack of language members"),
            _column("r_speech", pa.float64(), "correlation", "test r of the stack of speech members"),
            _column("r_best", pa.float64(), "correlation", "test r of the member best in training"),
            _column("best", pa.string(), "name", "member with the least out-of-fold error", null=True),
            _column("gain", pa.float64(), "correlation", "r_stacked less r_language"),
            _column("gain_lo", pa.float64(), "correlation", "lower end of its block bootstrap interval"),
            _column("gain_hi", pa.float64(), "correlation", "upper end of its block bootstrap interval"),
            _column("r2_joint", pa.float64(), "signed r²", "test r² of language and speech together"),
            _column("unique_language", pa.float64(), "signed r²", "r2_joint less the speech stack's"),
            _column("unique_language_lo", pa.float64(), "signed r²", "lower end of its interval"),
            _column("unique_language_hi", pa.float64(), "signed r²", "upper end of its interval"),
            _column("unique_speech", pa.float64(), "signed r²", "r2_joint less the language stack's"),
            _column("unique_speech_lo", pa.float64(), "signed r²", "lower end of its interval"),
            _column("unique_speech_hi", pa.float64(), "signed r²", "upper end of its interval"),
            _column("shared", pa.float64(), "signed r²", "what either explains alone"),
        ]
    ),
    "stacking_weights": pa.schema(
        [
            SUBJECT,
            VOXEL,
            MODEL,
            LAYER,
            _column("weight", pa.float64(), "share", "weight in the stack; a voxel's weights sum to 1"),
        ]
    ),
    "law_points": pa.schema(
        [
            LAW,
            _column("subject", pa.string(), "name", "subject, or pooled: mean over subjects"),
            METRIC,
            SET,
            GROUP,
            MODEL,
            _column("layer", pa.int32(), "index", "layer; none where pooled subjects differ", null=True),
            N_TRAIN,
            _column("x", pa.float64(), "see x_name", "where the point stands on the law's axis"),
            _column("x_name", pa.string(), "name", "what x counts: parameters, width, hours, stories, trs"),
            _column("y", pa.float64(), "see metric", "mean over the set and the training draws"),
            _column("lo", pa.float64(), "see metric", "lower end of its block bootstrap interval"),
            _column("hi", pa.float64(), "see metric", "upper end of its block bootstrap interval"),
            _column("n_draws", pa.int32(), "draws", "training draws averaged"),
            _column("wide", pa.bool_(), "flag", "more features times delays than training TRs (p > n)"),
            _column("layer_choice", pa.string(), "name", "how the layer came about: fixed, cv or test"),
        ]
    ),
    "laws": pa.schema(
        [
            LAW,
            _column("subject", pa.string(), "name", "subject, or pooled: mean over subjects"),
            METRIC,
            SET,
            GROUP,
            _column("points", pa.string(), "name", "all, or narrow: without the points where p > n"),
            _column("form", pa.string(), "name", "log_linear, power, saturating or learning_curve"),
            _column(
                "parameter",
                pa.string(),
                "name",
                "parameter of the form, a quantity it implies, or offset:<family>",
            ),
            _column("estimate", pa.float64(), "see parameter", "value at the real test set"),
            _column("lo", pa.float64(), "see parameter", "lower end of its interval; -inf: no end"),
            _column("hi", pa.float64(), "see parameter", "upper end of its interval; inf: no end"),
            _column("base", pa.string(), "text", "what a percentage is a percentage of", null=True),
            _column("n_points", pa.int32(), "points", "points fitted"),
            _column("rss", pa.float64(), "metric²", "residual sum of squares of the fit"),
            _column("aicc", pa.float64(), "1", "AICc under the points' covariance; NaN: too few points"),
            _column("largest_error", pa.float64(), "metric", "predicted less observed, largest x left out"),
            _column("preferred", pa.bool_(), "flag", "best AICc of its points, else best largest_error"),
        ]
    ),
    "law_curves": pa.schema(
        [
            LAW,
            _column("subject", pa.string(), "name", "subject, or pooled: mean over subjects"),
            METRIC,
            SET,
            GROUP,
            _column("points", pa.string(), "name", "all, or narrow: without the points where p > n"),
            _column("form", pa.string(), "name", "form of the law"),
            _column("x", pa.float64(), "as law_points", "from below the smallest x to above the largest"),
            _column("y", pa.float64(), "see metric", "the fitted law"),
            _column("lo", pa.float64(), "see metric", "lower end of its interval"),
            _column("hi", pa.float64(), "see metric", "upper end of its interval"),
        ]
    ),
    "plateau": pa.schema(
        [
            LAW,
            _column("subject", pa.string(), "name", "subject, or pooled: mean over subjects"),
            METRIC,
            SET,
            MODEL,
            _column("family", pa.string(), "name", "family of the model"),
            _column("x", pa.float64(), "as law_points", "size of the model"),
            _column("bits_per_character", pa.float64(), "bit", "surprisal of the stories' text"),
            _column("y", pa.float64(), "see metric", "mean over the set"),
            _column("wide", pa.bool_(), "flag", "more features times delays than training TRs (p > n)"),
        ]
    ),
    "plateau_fits": pa.schema(
        [
            LAW,
            _column("subject", pa.string(), "name", "subject, or pooled: mean over subjects"),
            METRIC,
            SET,
            _column("predictor", pa.string(), "name", "size (log10 x), bits (per character), or both"),
            _column("left_out_rmse", pa.float64(), "see metric", "error at models left out; NaN: too few"),
            _column("spread", pa.float64(), "see metric", "standard deviation of the scores over models"),
            _column("n_points", pa.int32(), "points", "models fitted"),
        ]
    ),
    "joint": pa.schema(
        [
            _column("subject", pa.string(), "name", "subject, or pooled: mean over subjects"),
            METRIC,
            SET,
            _column("form", pa.string(), "name", "bilinear, curve or powers"),
            _column("n_parameters", pa.int32(), "parameters", "of the form; it needs more points than these"),
            _column("n_points", pa.int32(), "points", "points there are"),
            _column("rss", pa.float64(), "metric²", "residual sum of squares; NaN: too few points for a fit"),
            _column("aicc", pa.float64(), "1", "AICc under the points' covariance; NaN: too few points"),
            _column("corner_error", pa.float64(), "metric", "predicted less observed, that corner left out"),
            _column("preferred", pa.bool_(), "flag", "best AICc, else best corner_error"),
        ]
    ),
    "joint_surface": pa.schema(
        [
            _column("subject", pa.string(), "name", "subject, or pooled: mean over subjects"),
            METRIC,
            SET,
            _column("form", pa.string(), "name", "the preferred form"),
            _column("parameters", pa.float64(), "parameters", "size of the model"),
            _column("hours", pa.float64(), "h", "training hours"),
            _column("fitted", pa.float64(), "see metric", "value of the surface"),
            _column("lo", pa.float64(), "see metric", "lower end of its interval"),
            _column("hi", pa.float64(), "see metric", "upper end of its interval"),
            _column("observed", pa.float64(), "see metric", "score of a point measured here; NaN: none"),
        ]
    ),
    "what_next": pa.schema(
        [
            _column("subject", pa.string(), "name", "subject, or pooled: mean over subjects"),
            METRIC,
            SET,
            _column("form", pa.string(), "name", "the preferred form; gains are of all, by weight"),
            _column("option", pa.string(), "name", "what could be done next"),
            _column("unit", pa.string(), "name", "metric, % of the fitted score now, h, or half width"),
            _column("gain", pa.float64(), "see unit", "what it is expected to bring: median over resamples"),
            _column("lo", pa.float64(), "see unit", "lower end of its interval"),
            _column("hi", pa.float64(), "see unit", "upper end of its interval"),
        ]
    ),
    "layers": pa.schema(
        [
            MODEL,
            LAYER,
            SUBJECT,
            SET,
            _column("family", pa.string(), "name", "family of the model"),
            _column("depth", pa.float64(), "share", "layer / n_layers"),
            _column("mean_r", pa.float64(), "correlation", "mean test r"),
            _column("r_lo", pa.float64(), "correlation", "lower end of mean_r's block bootstrap interval"),
            _column("r_hi", pa.float64(), "correlation", "upper end of mean_r's block bootstrap interval"),
            _column("mean_r2", pa.float64(), "signed r²", "mean test r·|r|"),
            _column("r2_lo", pa.float64(), "signed r²", "lower end of mean_r2's block bootstrap interval"),
            _column("r2_hi", pa.float64(), "signed r²", "upper end of mean_r2's block bootstrap interval"),
            _column("mean_cv_r", pa.float64(), "correlation", "mean held-out r inside the training stories"),
            _column("chosen", pa.bool_(), "flag", "the layer with the best mean_cv_r"),
            _column("best_on_test", pa.bool_(), "flag", "the layer with the best mean_r"),
        ]
    ),
    "layer_choice": pa.schema(
        [
            MODEL,
            SUBJECT,
            SET,
            _column("unit", pa.string(), "name", "one layer for the set, or one for each voxel"),
            METRIC,
            _column("by_cv", pa.float64(), "see metric", "test score of the layers chosen in training"),
            _column("by_test", pa.float64(), "see metric", "test score of the layers chosen on the test set"),
            _column("optimism", pa.float64(), "see metric", "by_test less by_cv"),
        ]
    ),
    "artifact": pa.schema(
        [
            MODEL,
            LAYER,
            SUBJECT,
            SET,
            METRIC,
            _column("cut_s", pa.float64(), "s", "left out at the start of each test story"),
            _column("y", pa.float64(), "see metric", "mean over the set"),
            _column("lo", pa.float64(), "see metric", "lower end of its block bootstrap interval"),
            _column("hi", pa.float64(), "see metric", "upper end of its block bootstrap interval"),
            _column("difference", pa.float64(), "see metric", "y less that at the study's own cut"),
            _column(
                "difference_lo",
                pa.float64(),
                "see metric",
                "lower end of its paired interval; NaN: few blocks",
            ),
            _column(
                "difference_hi",
                pa.float64(),
                "see metric",
                "upper end of its paired interval; NaN: few blocks",
            ),
            _column("percent", pa.float64(), "%", "difference, of the score at the study's own cut"),
        ]
    ),
}
