"""Results as the command line prints them."""

from video_repr.files import read_json


def print_evaluation(run):
    """Prints the scores of a run, and where they were written."""
    print_scores(read_json(run.evaluation_file, dict))
    print(f"Written to {run.path}: evaluation.json, figures/")


def print_scores(evaluation):
    """Prints the scores in evaluation.json."""
    rows = {
        branch: evaluation[branch]
        for branch in ("reconstruction", "future")
        if branch in evaluation
    }
    of = evaluation["baselines_of"]
    rows[f"{of}, last frame repeated"] = evaluation["baselines"]["last_frame"]
    rows[f"{of}, mean frame"] = evaluation["baselines"]["mean_frame"]
    # Frames of less than 11 px have no SSIM.
    names = [
        name
        for name in ("bce_sum_per_frame", "mse_sum_per_frame", "ssim", "psnr")
        if name in evaluation[of]
    ]
    print(f"{evaluation['data']['sequences']:,} test sequences")
    print(" " * 28 + "".join(f"{name:>19}" for name in names))
    for label, scores in rows.items():
        values = "".join(f"{scores[name]:>19.3f}" for name in names)
        print(f"{label:<28}{values}")


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
