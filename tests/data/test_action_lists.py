import pytest

from video_repr.data import action_lists
from video_repr.errors import InputError


def write_lists(folder, files):
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


UCF = {
    "classInd.txt": ["1 Archery", "2 HandstandPushups"],
    "trainlist01.txt": [
        "Archery/v_Archery_g02_c01.avi 1",
        "HandstandPushups/v_HandStandPushups_g09_c02.avi 2",
    ],
    "testlist01.txt": ["Archery/v_Archery_g01_c01.avi"],
}


def test_ucf101(tmp_path):
    labels, videos = action_lists.ucf101(write_lists(tmp_path, UCF), 1)
    assert labels == ("Archery", "HandstandPushups")
    assert [(v.label, v.group, v.split) for v in videos] == [
        ("Archery", "Archery_g02", "train"),
        ("HandstandPushups", "HandstandPushups_g09", "train"),
        ("Archery", "Archery_g01", "test"),
    ]


@pytest.mark.parametrize("folder", ["HandstandPushups", "HandStandPushups"])
@pytest.mark.parametrize("name", ["HandstandPushups", "HandStandPushups"])
@pytest.mark.parametrize("listed", ["HandstandPushups", "HandStandPushups"])
def test_the_class_that_is_spelled_in_two_ways(tmp_path, folder, name, listed):
    file = tmp_path / folder / f"v_{name}_g01_c01.avi"
    file.parent.mkdir()
    file.touch()
    path = f"HandstandPushups/v_{listed}_g01_c01.avi"
    assert action_lists.find_video(tmp_path, path) == str(file)
    other = path.replace("g01", "g02")
    assert action_lists.find_video(tmp_path, other) is None


def test_hmdb51(tmp_path):
    lines = [
        "A_film_climb_stairs_f_cm_np1_ba_med_0.avi 1",
        "A_film_climb_stairs_f_cm_np1_ba_med_1.avi 1",
        "Other_climb_stairs_u_nm_np2_le_goo_0.avi 2",
        "Unused_climb_stairs_u_nm_np2_le_goo_0.avi 0",
    ]
    # A film of two classes, on one side and on both.
    others = [
        "A_film_run_f_cm_np1_ba_med_2.avi 1",
        "Other_run_u_nm_np2_le_goo_0.avi 1",
    ]
    files = {
        "climb_stairs_test_split2.txt": lines,
        "run_test_split2.txt": others,
    }
    write_lists(tmp_path, files)
    labels, videos = action_lists.hmdb51(tmp_path, 2)
    assert labels == ("climb_stairs", "run")
    assert [(v.path, v.group, v.split) for v in videos] == [
        (f"climb_stairs/{lines[0][:-2]}", "A_film", "train"),
        (f"climb_stairs/{lines[1][:-2]}", "A_film", "train"),
        (f"climb_stairs/{lines[2][:-2]}", "climb_stairs_Other", "test"),
        (f"run/{others[0][:-2]}", "A_film", "train"),
        (f"run/{others[1][:-2]}", "run_Other", "train"),
    ]


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("classInd.txt", ["1 Archery", "3 Bowling"], "the line '2 CLASS'"),
        ("trainlist01.txt", ["Diving/v_Diving_g01_c01.avi 3"], "a class of"),
        ("trainlist01.txt", ["Archery/film.avi 1"], "CLASS/v_CLASS_gNN"),
        (
            "testlist01.txt",
            ["Archery/v_Archery_g02_c07.avi"],
            "Archery_g02 in train and in test",
        ),
    ],
)
def test_lists_that_are_no_ucf101(tmp_path, file, lines, message):
    write_lists(tmp_path, {**UCF, file: lines})
    with pytest.raises(InputError, match=message):
        action_lists.ucf101(tmp_path, 1)


def test_lists_that_are_no_hmdb51(tmp_path):
    with pytest.raises(InputError, match=r"CLASS_test_split1\.txt"):
        action_lists.hmdb51(tmp_path, 1)
    write_lists(tmp_path, {"run_test_split1.txt": ["film.avi 3"]})
    with pytest.raises(InputError, match=r"Received: 'film\.avi 3'"):
        action_lists.hmdb51(tmp_path, 1)


def test_lists_that_are_missing(tmp_path):
    with pytest.raises(InputError, match=r"official list .*classInd.txt"):
        action_lists.ucf101(tmp_path, 1)


@pytest.mark.shared
@pytest.mark.parametrize("split", [1, 2, 3])
def test_the_official_lists(shared_data, split):
    lists = shared_data / "splits"
    labels, videos = action_lists.ucf101(lists / "ucf101", split)
    assert len(labels) == 101
    assert len(videos) == 13_320
    labels, videos = action_lists.hmdb51(lists / "hmdb51", split)
    assert len(labels) == 51
    counts = {"train": 0, "test": 0}
    for video in videos:
        counts[video.split] += 1
    assert counts == {"train": 51 * 70, "test": 51 * 30}
    action_lists.check_groups(videos)
