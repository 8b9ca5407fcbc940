"""The contract of an executor: what a study may rely on, wherever its trials run."""

import subprocess
import sys
import threading
import time

import cloudpickle
import numpy as np
import optuna
import pytest
from distributed import LocalCluster

from harness.waiting import until
from optuna_nb.display.tabs import live
from optuna_nb.errors import ClusterError, InvalidOptionError, ObjectiveError, OptunaNBError
from optuna_nb.records import Cluster, Objective, StudyState, TuneOptions, WorkerView
from optuna_nb.storage import questions
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.record_database import read_records
from optuna_nb.tuning import api
from optuna_nb.tuning.executors import choice, cores
from optuna_nb.tuning.executors.asking import ask_study
from optuna_nb.tuning.observer import log_metrics, trial_event

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test


@pytest.fixture(params=["thread", "dask"])
def tune(request, tmp_path):
    cluster = request.getfixturevalue("cluster") if request.param == "dask" else None

    def start(evaluate, **flags):
        options = {
            "name": "s",
            "storage": f"sqlite:///{tmp_path / 's.db'}",
            "trials": 8,
            "seed": 1,
            "jobs": 1,
        }
        options |= {"executor": request.param, "cluster": cluster} | flags
        return api.start(Objective(evaluate, "code", {"cell": evaluate.__name__}), TuneOptions(**options))

    return start


def hexes(handle):
    return [
        (t.number, t.state.name, [v.hex() for v in t.values or ()], [*map(repr, t.params.items())])
        for t in handle.study.trials
    ]


def square(trial):
    x, y = trial.suggest_float("x", -1, 1), trial.suggest_float("y", -1, 1)
    return x**2 + y**2


def conditional(trial):
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    x = trial.suggest_float("x", 0, 1)
    if kind == "a":
        return x + trial.suggest_int("n", 1, 9)
    if kind == "b":
        return trial.suggest_float("first", 1e-3, 1, log=True) * trial.suggest_float("x", 0, 1)
    return x


def out_of_order(trial):
    names = ["a", "b", "c"][:: 1 if trial.number % 2 else -1]
    return sum(trial.suggest_float(name, 0, 1) for name in names)


def define_by_run(trial):
    return sum(trial.suggest_float(f"x{i}", 0, 1) for i in range(trial.suggest_int("depth", 1, 4)))


def learns(trial):
    x = trial.suggest_float("x", 0, 1)
    for step in range(4):
        trial.report(x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


def trials_before(study, more):
    assert isinstance(study, optuna.Study)
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))) + more


def two_scores(trial):
    x = trial.suggest_float("x", 0, 1)
    return x, 1 - x


class TestExecutorContract:
    """The same for every executor."""

    def test_a_study_gets_its_trials_and_what_they_print(self, tune):
        def talks(trial):
            print(f"trial {trial.number} speaks")
            print("and complains", file=sys.stderr)
            return square(trial)

        handle = tune(talks, trials=5).wait()
        assert handle.snapshot().state is StudyState.COMPLETED
        assert [t.number for t in handle.snapshot().trials] == [0, 1, 2, 3, 4]
        reader = Reader(handle.storage, "s")
        assert reader.log(3) == "trial 3 speaks\nand complains\n"
        reader.close()

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_several_jobs_lose_nothing_and_repeat_nothing(self, tune, jobs):
        handle = tune(conditional, trials=12, jobs=jobs).wait()
        assert [t.number for t in handle.study.trials] == list(range(12))
        assert len({repr(t.params) for t in handle.study.trials}) == 12

    def test_attributes_constraints_metrics_and_events_arrive(self, tune):
        def rich(trial):
            trial.set_user_attr("list", [1, np.float64(2.5)])
            trial.set_constraint("size", trial.suggest_float("x", -1, 1))
            log_metrics(trial.number, auc=0.5)
            trial_event("exchange", step=3)
            return trial.params["x"]

        handle = tune(rich, trials=6).wait()
        trials = handle.study.trials
        assert [t.user_attrs["list"] for t in trials] == [[1, 2.5]] * 6
        assert [t.constraints for t in trials] == [{"size": t.params["x"]} for t in trials]
        database = read_records(handle.storage)
        (run,) = questions.run_ids(database, ["s"])
        metrics = questions.ask(database, questions.metric_history(run))
        events = questions.ask(database, questions.events(run))
        database.close()
        assert sorted(metrics["step"]) == [0, 1, 2, 3, 4, 5]
        assert list(events["kind"]).count("exchange") == 6

    def test_a_pruner_sees_what_other_trials_reported(self, tune):
        pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=0)
        handle = tune(learns, trials=16, pruner=pruner).wait()
        pruned = [t for t in handle.study.trials if t.state.name == "PRUNED"]
        assert pruned
        assert all(set(t.intermediate_values) == {0} for t in pruned[:1])
        complete = next(t for t in handle.study.trials if t.state.name == "COMPLETE")
        assert complete.intermediate_values == {s: complete.params["x"] + s for s in range(4)}

    def test_folds_and_several_directions_are_scored(self, tune):
        def folds(trial):
            x = trial.suggest_float("x", 0, 1)
            return np.array([x, x + 1])

        handle = tune(folds, trials=2).wait()
        trial = handle.study.trials[0]
        assert trial.value == trial.params["x"] + 0.5
        assert len(trial.user_attrs["fold_scores"]) == 2
        both = tune(two_scores, name="two", directions=("minimize", "maximize"), trials=3).wait()
        assert [len(t.values) for t in both.study.trials] == [2, 2, 2]

    def test_a_mistake_in_the_first_trial_ends_the_study_and_names_the_line(self, tune):
        def wrong(trial):
            trial.suggest_float("x", 0, 1)
            return [1] / 0

        with pytest.raises(Exception, match="unsupported operand"):
            tune(wrong).wait()
        handle = api.load("s", tune(wrong).storage)
        until(lambda: not handle.snapshot().state.is_active)
        assert handle.snapshot().done == 0
        assert "TypeError" in handle.snapshot().note
        assert "return [1] / 0" in handle.snapshot().note

    def test_what_is_no_score_is_refused(self, tune):
        def says(trial):
            trial.suggest_float("x", 0, 1)
            return "a word"

        with pytest.raises(ObjectiveError, match="return a number"):
            tune(says).wait()

    def test_a_failed_trial_is_passed_over_and_its_traceback_kept(self, tune):
        def sometimes(trial):
            x = trial.suggest_float("x", 0, 1)
            if trial.number == 2:
                msg = "just this one"
                raise ValueError(msg)
            return x

        handle = tune(sometimes, trials=5).wait()
        assert [t.state.name for t in handle.study.trials] == [
            "COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE",
        ]  # fmt: skip
        reader = Reader(handle.storage, "s")
        assert "just this one" in reader.log(2)
        assert "in sometimes" in reader.log(2)
        reader.close()

    def test_the_study_can_be_asked_and_stopped_from_a_trial(self, tune):
        def asks(trial):
            x = trial.suggest_float("x", 0, 1)
            seen = len(trial.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))
            trial.set_user_attr("best", trial.study.best_value if seen else None)
            if seen == 3:
                trial.study.stop()
            return x

        handle = tune(asks, trials=20).wait()
        trials = handle.study.trials
        assert len(trials) == 4
        assert [t.user_attrs["best"] for t in trials[1:]] == [
            min(t.value for t in trials[:n]) for n in (1, 2, 3)
        ]

    def test_a_trial_cannot_tune_the_study_that_it_is_one_of(self, tune):
        def nests(trial):
            with pytest.raises(
                (RuntimeError, AttributeError), match=r"Nested invocation|not there on a worker"
            ):
                trial.study.optimize(lambda _: 0.0, n_trials=1)
            return trial.suggest_float("x", 0, 1)

        assert len(tune(nests, trials=2).wait().study.trials) == 2

    def test_a_question_to_the_study_is_answered_where_the_study_is(self, tune):
        def asks(trial):
            try:
                ask_study(trial.study, trials_before, "no number")
            except TypeError:
                return trial.suggest_float("x", 0, 1e-9) + ask_study(trial.study, trials_before, 10)

        handle = tune(asks, trials=3).wait()
        assert [round(t.value) for t in handle.study.trials] == [10, 11, 12]

    def test_stop_now_drops_the_trials_in_flight_and_frees_their_numbers(self, tune, tmp_path):
        gate = tmp_path / "gate"

        def hangs(trial):
            x = trial.suggest_float("x", 0, 1)
            while trial.number >= 2 and not gate.exists():
                time.sleep(0.01)
            return x

        handle = tune(hangs, jobs=2, trials=6)
        until(lambda: handle.snapshot().done == 2 and len(handle.snapshot().live) == 2)
        handle.stop_now()
        handle.wait(timeout=10)
        assert [t.number for t in handle.snapshot().trials] == [0, 1]
        gate.touch()
        assert [t.number for t in tune(hangs, jobs=2, trials=6).wait().snapshot().trials] == list(range(6))

    def test_enqueued_parameters_are_tried_first(self, tune):
        handle = tune(square, trials=1).wait()
        handle.enqueue({"x": 0.25, "y": -0.5})
        trials = tune(square, trials=3).wait().study.trials
        assert trials[1].params == {"x": 0.25, "y": -0.5}
        assert trials[1].value == 0.3125

    def test_a_live_trial_shows_its_parameters_and_its_last_step(self, tune, tmp_path):
        gate = tmp_path / "gate"

        def waits(trial):
            x = trial.suggest_float("x", 0, 1)
            trial.report(0.5, 7)
            while trial.number == 1 and not gate.exists():
                time.sleep(0.01)
            return x

        handle = tune(waits, trials=2)
        until(lambda: any(t.number == 1 and t.step == 7 for t in handle.snapshot().live))
        assert "x" in handle.snapshot().live[0].params
        gate.touch()
        handle.wait()


@pytest.mark.parametrize(
    ("sampler", "objective"),
    [
        pytest.param("tpe", square, marks=pytest.mark.slow),
        ("tpe", conditional),
        ("tpe", out_of_order),
        ("tpe", define_by_run),
        pytest.param("tpe", learns, marks=pytest.mark.slow),
        ("random", define_by_run),
        ("cmaes", square),
        pytest.param("nsgaii", square, marks=pytest.mark.slow),
    ],
)
def test_one_job_gives_the_same_numbers_to_the_last_bit(cluster, tmp_path, objective, sampler):
    found = []
    for executor in ("thread", "dask"):
        options = TuneOptions(
            name="s",
            storage=f"sqlite:///{tmp_path / executor}.db",
            trials=25,
            seed=3,
            jobs=1,
            sampler=sampler,
            executor=executor,
            cluster=cluster if executor == "dask" else None,
        )
        found.append(hexes(api.start(Objective(objective, "code", {"cell": "a"}), options).wait()))
    assert found[0] == found[1]


class Counted:
    """Data that leave a mark wherever they are unpickled."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = np.arange(1_000_000.0)

    def __setstate__(self, state):
        import os
        import uuid

        vars(self).update(state)
        (self.folder / f"{os.getpid()}-{uuid.uuid4().hex}").touch()


def start_on(cluster, tmp_path, evaluate, **flags):
    options = {"name": "s", "storage": f"sqlite:///{tmp_path / 's.db'}", "trials": 20, "seed": 1, "jobs": 2}
    options |= {"executor": "dask", "cluster": cluster} | flags
    return api.start(Objective(evaluate, "code", {"cell": "1"}), TuneOptions(**options))


def test_data_arrive_once_on_each_worker(cluster, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    data = Counted(marks)

    def reads(trial):
        time.sleep(0.25 if trial.number % 3 == 0 else 0)  # Dask looks every 2 s for copies that it can drop
        return trial.suggest_float("x", 0, 1) + data.rows[-1]

    start_on(cluster, tmp_path, reads, trials=40).wait()
    pids = [path.name.partition("-")[0] for path in marks.iterdir()]
    assert 1 <= len(pids) == len(set(pids)) <= 2


def test_arrays_of_the_objective_can_be_written_on_a_worker_and_stay_as_they_are_here(cluster, tmp_path):
    rows = np.zeros(100_000)

    def writes(trial):
        rows[0] += 1
        return trial.suggest_float("x", 0, 1)

    assert start_on(cluster, tmp_path, writes, trials=4).wait().snapshot().done == 4
    assert rows[0] == 0


def test_what_cannot_be_pickled_is_named_and_makes_no_study(cluster, tmp_path):
    lock = threading.Lock()

    def locks(trial):
        with lock:
            return trial.suggest_float("x", 0, 1)

    with pytest.raises(InvalidOptionError, match=r"the variable lock \(lock\) cannot be sent to a worker"):
        start_on(cluster, tmp_path, locks)
    assert not (tmp_path / "s.db").exists()


def test_nothing_is_left_on_the_cluster_after_a_run(cluster, tmp_path):
    start_on(cluster, tmp_path, square).wait()
    until(lambda: not cluster.scheduler.tasks)
    assert [name for name in cluster.scheduler.clients if "optuna_nb" in name] == []


def test_nothing_is_left_on_the_cluster_where_the_study_cannot_begin(cluster, tmp_path):
    for folder, name in (("missing", "s"), ("", "s@1")):  # before its database is open, and after that
        options = TuneOptions(
            name=name,
            storage=f"sqlite:///{tmp_path / folder / 's.db'}",
            executor="dask",
            cluster=cluster,
        )
        with pytest.raises(OptunaNBError):
            api.start(Objective(square, "code", {"cell": "1"}), options)
        until(lambda: not [name for name in cluster.scheduler.clients if "optuna_nb" in name], 10)


def test_a_worker_that_dies_loses_no_trial_and_repeats_no_number(tmp_path):
    once = tmp_path / "once"

    def dies(trial):
        import os

        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 0)
        trial.set_user_attr("pid", os.getpid())
        if trial.number == 3 and not once.exists():
            once.touch()
            time.sleep(0.3)
            os._exit(1)
        return x

    handle = start_on(None, tmp_path, dies, trials=8).wait()
    trials = handle.study.trials
    assert [t.number for t in trials] == list(range(8))
    assert {t.state.name for t in trials} == {"COMPLETE"}


@pytest.mark.slow
def test_a_trial_that_kills_every_worker_fails_alone(tmp_path):
    def dies(trial):
        import os

        x = trial.suggest_float("x", 0, 1)
        if trial.number == 0:
            os._exit(1)
        return x

    handle = start_on(None, tmp_path, dies, trials=4).wait()
    assert [t.state.name for t in handle.study.trials] == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    reader = Reader(handle.storage, "s")
    assert "its worker was lost 3 times" in reader.log(0)
    reader.close()


def test_processes_are_started_where_no_cluster_is_named_and_they_end_with_the_run(tmp_path):
    def tells(trial):
        import os

        trial.set_user_attr("pid", os.getpid())
        return trial.suggest_float("x", 0, 1)

    import psutil

    handle = start_on(None, tmp_path, tells, trials=6)
    assert "2 trials at a time, each with" in handle.note
    handle.wait()
    pids = {t.user_attrs["pid"] for t in handle.study.trials}
    assert psutil.Process().pid not in pids
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


@pytest.mark.slow
def test_an_address_where_nothing_listens_is_told_in_one_line(tmp_path):
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        start_on("tcp://127.0.0.1:9", tmp_path, square)


def test_the_live_tab_shows_the_workers_and_links_to_dasks_own_pages(cluster, tmp_path):
    gate = tmp_path / "gate"

    def waits(trial):
        trial.report(trial.suggest_float("x", 0, 1), 3)
        while trial.number > 1 and not gate.exists():
            time.sleep(0.01)
        return 1.0

    handle = start_on(cluster, tmp_path, waits, trials=4)
    until(lambda: (c := handle.snapshot().cluster) and sum(len(w.trials) for w in c.workers) == 2)
    until(lambda: {t.step for t in handle.snapshot().live} == {3})
    until(lambda: sum(worker.done for worker in handle.snapshot().cluster.workers) == 2)
    snapshot = handle.snapshot()
    assert snapshot.cluster.count == 2
    html = live.render(snapshot, None, None)
    assert html.count("127.0.0.1</td>") == 2
    assert " MiB</td>" in html
    assert f'<a href="{cluster.dashboard_link}" target="_blank" rel="noopener noreferrer">' in html
    assert "this kernel" not in html
    gate.touch()
    handle.wait()
    assert handle.snapshot().cluster is None


def test_names_of_workers_are_text_and_only_web_addresses_become_links(tmp_path):
    worker = WorkerView("<b>w</b>", "<i>h</i>", (), None, 0, None)
    html = live._workers(Cluster((worker,), 1, "javascript:alert(1)"), ())
    assert "<b>" not in html
    assert "<i>" not in html
    assert "<a " not in html


def test_each_of_several_threads_gets_its_share_of_the_cores(tmp_path, monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    seen = []

    def looks(trial):
        seen.append({lib["num_threads"] for lib in threadpoolctl.threadpool_info()})
        return trial.suggest_float("x", 0, 1)

    before = {lib["filepath"]: lib["num_threads"] for lib in threadpoolctl.threadpool_info()}
    handle = start_on(None, tmp_path, looks, executor="thread", trials=4)
    assert "2 trials at a time, each with 4 of 8 cores" in handle.note
    handle.wait()
    assert seen == [{4}] * 4
    after = {lib["filepath"]: lib["num_threads"] for lib in threadpoolctl.threadpool_info()}
    assert {path: after[path] for path in before} == before


def test_without_dask_one_line_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.raises(InvalidOptionError, match=r'pip install "optuna-nb\[dask\]"'):
        start_on(None, tmp_path, square)


def test_what_is_no_cluster_is_refused(tmp_path):
    with pytest.raises(InvalidOptionError, match="a dict is no cluster; give tcp://host:8786"):
        start_on({}, tmp_path, square)


@pytest.mark.slow
def test_a_worker_without_our_package_is_named_before_the_first_trial(tmp_path):
    flags = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=0, processes=False, silence_logs=60, **flags) as bare:
        hides = "import sys\nsys.modules['optuna_nb'] = None\ndef dask_setup(worker): pass"
        address = bare.scheduler_address
        command = ["-m", "distributed.cli.dask_worker", address, "--no-nanny", "--preload", hides]
        with subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL) as worker:
            try:
                until(lambda: bare.scheduler.workers)
                with pytest.raises(ClusterError, match=r"has no optuna_nb: install `optuna-nb\[dask\]`"):
                    start_on(address, tmp_path, square)
            finally:
                worker.kill()


SCRIPT = """
import sys
import optuna_nb

def objective(trial):
    return scale * trial.suggest_float("x", 0, 1)

scale = 2.0
study = optuna_nb.tune(objective, name="s", trials=4, executor="dask", jobs=2, storage=sys.argv[1], wait=True)
print([t.value == 2 * t.params["x"] for t in study.study.trials])
"""


@pytest.mark.slow
def test_a_script_needs_no_guard_around_its_main_part(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), f"sqlite:///{tmp_path / 's.db'}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert ran.stdout.strip().endswith("[True, True, True, True]")
    assert "Traceback" not in ran.stderr
