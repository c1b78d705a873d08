"""The sections of a report about a pretraining run."""

from video_repr.report import inside
from video_repr.report import out_of_domain
from video_repr.report import representation
from video_repr.report import results

SECTIONS = {
    "The run": results.overview,
    "Losses": results.losses,
    "Numbers": results.metrics,
    "Test clips": results.clips,
    "A long rollout": inside.rollout,
    "Out of domain": out_of_domain.out_of_domain,
    "Features": inside.features,
    "What the state knows": representation.representation,
}
