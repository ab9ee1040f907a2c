from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.training import Augment, Precision, Recipe, Schedule
from resnet_deploy.training.recipe import RECIPES, read_recipe, recipe_of, recipe_text, to_values


def file(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_cifar_is_he_et_al_4_2() -> None:
    recipe = read_recipe("cifar")
    assert (recipe.lr, recipe.momentum, recipe.weight_decay) == (0.1, 0.9, 1e-4)
    assert (recipe.batch_size, recipe.epochs) == (128, 164)
    # 64,000 steps of 128 images, of 50,000
    assert recipe.epochs * (50_000 // 128) == pytest.approx(64_000, rel=0.001)
    assert (recipe.schedule, recipe.milestones) == (Schedule.STEPS, (0.5, 0.75))
    assert (recipe.augment, recipe.pad) == (Augment.CROP_FLIP, 4)
    assert recipe.decay_norms
    assert not recipe.nesterov


@pytest.mark.parametrize(("epochs", "mixup"), [(50, 0.0), (90, 0.0), (250, 0.2)])
def test_nvidia_is_that_of_resnet_50_v1_5(epochs: int, mixup: float) -> None:
    recipe = read_recipe("nvidia", {"epochs": epochs})
    assert (recipe.lr, recipe.lr_batch, recipe.momentum) == (0.256, 256, 0.875)
    assert recipe.weight_decay == 1 / 32768
    assert not recipe.decay_norms
    assert recipe.label_smoothing == 0.1
    assert recipe.schedule is Schedule.COSINE
    assert recipe.warmup_epochs == pytest.approx(8 * min(1, epochs / 90))
    assert (recipe.epochs, recipe.mixup) == (epochs, mixup)
    assert (recipe.augment, recipe.precision) == (Augment.RESIZED_CROP, Precision.AUTO)
    assert recipe.channels_last
    assert read_recipe("nvidia", {"batch_size": 64}).peak_lr == pytest.approx(0.064)


def test_the_default_of_nvidia_is_90_epochs() -> None:
    assert read_recipe("nvidia").epochs == 90


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_of_the_package_says_why_and_round_trips(name: str) -> None:
    assert recipe_text(name).startswith("# ")
    recipe = read_recipe(name)
    assert recipe_of(to_values(recipe)) == recipe


def test_changes_win_over_the_recipe_and_its_tables() -> None:
    assert read_recipe("nvidia", {"epochs": 300, "mixup": 0.0}).mixup == 0
    assert read_recipe("cifar-fast", {"epochs": 6}).warmup_epochs == 1
    assert read_recipe("cifar-fast", {"epochs": 6, "warmup_epochs": 2.0}).warmup_epochs == 2


def test_tables_of_longer_runs_apply_in_their_order(tmp_path: Path) -> None:
    text = "epochs = 10\nwarmup_epochs = 5\n[from_epochs.20]\nlr = 2\n[from_epochs.100]\nlr = 3\n"
    name = file(tmp_path, text + "[from_epochs.4]\nwarmup_epochs = 1")
    found = [read_recipe(name, {"epochs": epochs}) for epochs in (2, 4, 10, 20, 100)]
    assert [recipe.lr for recipe in found] == [0.1, 0.1, 0.1, 2, 3]
    assert [recipe.warmup_epochs for recipe in found] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = ", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        ("learning_rate = 1", "says 'learning_rate', which no recipe has: epochs, batch_size"),
        ('lr = "0.1"', "lr: '0.1' is not a number"),
        ("lr = true", "lr: true is not a number"),
        ("epochs = 1.5", "epochs: 1.5 is not a whole number"),
        ('epochs = "30"', "epochs: '30' is not a whole number"),
        ('epochs = 30\nwarmup_epochs = "5"', "warmup_epochs: '5' is not a number"),
        ("nesterov = 1", "nesterov: 1 is neither true nor false"),
        ("milestones = 0.5", "milestones: 0.5 is not a list"),
        ('schedule = "linear"', "is none of constant, steps, cosine, one-cycle"),
        ('schedule = ["steps"]', "is none of constant"),
        ("lr = inf", "lr: inf is not a number"),
        ("lr = -1", "lr = -1.0 must be positive"),
        ("pad = 20000", "pad = 20000 must be from 0 to 256"),
        ("lr = 1e308", "lr = 1e+308 must be at most"),
        ("weight_decay = 1e300", "weight_decay = 1e+300 must be at most"),
        ("epochs = 0", "epochs = 0 must be from 1"),
        ("lr = " + "9" * 400, "lr"),
        ("lr = " + "9" * 5000, "is not TOML"),
        ("a." * 30 + "b = 1", "which no recipe has"),
        ("a." * 5000 + "b = 1", "a key of 5001 parts"),
        ("milestones = " + "[" * 5000, "is not TOML"),
        ("from_epochs = 5", "from_epochs.90"),
        ("[from_epochs.many]\nlr = 1", "from_epochs.90"),
        ("[from_epochs.1]\nrate = 1", "'rate'"),
        ("[from_epochs.900]\nrate = 1", "in from_epochs.900, says 'rate', which no recipe has"),
    ],
)
def test_a_wrong_file_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read_recipe(file(tmp_path, text), {"epochs": 20} if "epochs" not in text else {})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.toml", "no recipe is called 'nowhere.toml': use cifar, cifar-fast, nvidia"),
        (".", "cannot read the recipe .: it is not a file"),
        ("bytes.toml", "it is not UTF-8 text"),
    ],
)
def test_a_file_that_is_none(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError) as caught:
        read_recipe(name)
    assert words in str(caught.value)


@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 500),
            "batch_size": st.integers(1, 4096),
            "lr": st.floats(1e-6, 10),
            "momentum": st.floats(0, 0.999),
            "ema": st.floats(0, 0.9999),
            "clip_norm": st.floats(0, 100),
            "mixup": st.floats(0, 2),
            "stage_decay": st.floats(0.1, 1),
            "zero_init": st.booleans(),
            "freeze": st.integers(0, 9),
            "augment": st.sampled_from([member.value for member in Augment]),
            "precision": st.sampled_from([member.value for member in Precision]),
        },
    )
)
def test_values_and_recipes_round_trip(values: dict[str, Any]) -> None:
    recipe = recipe_of(values)
    plain = to_values(recipe)
    assert {key: plain[key] for key in values} == values
    assert recipe_of(plain) == recipe


def test_steps_round_trip() -> None:
    recipe = Recipe(schedule=Schedule.STEPS, milestones=(0.5, 0.75))
    assert to_values(recipe)["milestones"] == [0.5, 0.75]
    assert recipe_of(to_values(recipe)) == recipe
