"""Results as the command line prints them."""

from video_repr.files import read_json
from video_repr.metric_names import IN_WORDS


def print_evaluation(run):
    """Prints the scores of a run, and where they were written."""
    print_scores(read_json(run.evaluation_file, dict))
    print(f"Written to {run.path}: evaluation.json, figures/")


def print_scores(evaluation):
    """Prints the scores in evaluation.json."""
    scores = {
        branch: evaluation[branch]
        for branch in ("reconstruction", "future")
        if branch in evaluation
    }
    scores["last frame"] = evaluation["baselines"]["last_frame"]
    scores["mean frame"] = evaluation["baselines"]["mean_frame"]
    baselines_of = evaluation["baselines_of"]
    names = [name for name in IN_WORDS if name in evaluation[baselines_of]]
    width = max(map(len, names))
    print(f"{evaluation['data']['sequences']:,} test sequences")
    print(" " * width + "".join(f"{label:>15}" for label in scores))
    for name in names:
        values = "".join(f"{of[name]:>15.3f}" for of in scores.values())
        print(f"{name:<{width}}{values}")
    print(f"The last and the mean frame predict the {baselines_of}.")


def print_predictions(split, predictions):
    """Prints the accuracy of each class of a split, and the hardest videos."""
    print(
        f"{split}: {predictions.accuracy:.1%} of {len(predictions.ids):,} "
        "videos"
    )
    hits = predictions.found == predictions.labels
    for label, name in enumerate(predictions.classes):
        of = hits[predictions.labels == label]
        if len(of):
            print(f"{of.mean():>9.1%} of {len(of):>5,} {name}")
    print("  hardest:")
    for video in predictions.hardest(3):
        print(
            f"    {video['video']}: its class {video['probability']:.1%}, "
            f"most probable {video['most_probable']}"
        )


def print_table(per_class, rows):
    """Prints accuracies, a column for each number of labels."""
    print(f"{'labels a class':<36}", end="")
    for k in per_class:
        print(f"{k:>15}", end="")
    print()
    for name, cells in rows.items():
        print(f"{name:<36}", end="")
        for cell in cells:
            print(f"{cell['mean']:>8.1%} ±{cell['sd']:>5.1%}", end="")
        print()
