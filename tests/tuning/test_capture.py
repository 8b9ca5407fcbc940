"""A trial's output goes to its log, and nothing else does."""

import asyncio
import contextlib
import io
import itertools
import logging
import subprocess
import sys
import threading

import pytest

from optuna_nb.tuning import capture


@pytest.fixture(autouse=True)
def uninstalled():
    """No test leaves a proxy behind."""
    yield
    capture.uninstall()


@pytest.fixture
def streams():
    """Streams that can be read; made inside the test, as pytest swaps its own in before each."""
    out, err = io.StringIO(), io.StringIO()

    @contextlib.contextmanager
    def replaced():
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
            capture.uninstall()

    return replaced


def in_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join(10)
    return result[0]


def test_a_trial_prints_into_its_log_and_the_main_thread_into_the_cell(streams):
    with streams() as (out, err):
        capture.install()

        def work():
            with capture.trial_log() as log:
                print("from the trial")
                print("an error", file=sys.stderr)
                return log.text()

        print("before")
        assert in_thread(work) == "from the trial\nan error\n"
        print("after")
        assert out.getvalue() == "before\nafter\n"
        assert err.getvalue() == ""


def test_two_trials_at_the_same_time_have_logs_of_their_own():
    meet = threading.Barrier(2, timeout=10)
    texts = {}

    def work(name):
        with capture.trial_log() as log:
            for _ in range(50):
                meet.wait()
                print(name)
            texts[name] = log.text()

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert texts == {"a": "a\n" * 50, "b": "b\n" * 50}


def test_after_the_trial_the_same_thread_prints_to_the_cell_again(streams):
    with streams() as (out, _err):
        with capture.trial_log():
            print("hidden")
        print("shown")
        assert out.getvalue() == "shown\n"


def test_a_trial_that_raises_leaves_the_streams_in_order(streams):
    with streams() as (out, _err):
        with contextlib.suppress(ZeroDivisionError), capture.trial_log():
            raise ZeroDivisionError
        print("shown")
        assert out.getvalue() == "shown\n"


def test_a_coroutine_of_the_trial_prints_into_its_log():
    async def say():
        await asyncio.sleep(0)
        print("later")

    def work():
        with capture.trial_log() as log:
            asyncio.run(say())
            return log.text()

    assert in_thread(work) == "later\n"


def test_warnings_go_to_the_log_and_not_to_stderr():
    # In a process of its own, as pytest keeps all warnings to itself.
    program = """
import warnings
from optuna_nb.tuning import capture
with capture.trial_log() as log:
    warnings.warn("look out")
print(log.text())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "UserWarning: look out" in done.stdout
    assert done.stderr == ""


def test_a_log_handler_made_before_the_first_trial_writes_to_the_log_too(streams):
    with streams() as (_out, err):
        logger = logging.getLogger("optuna_nb.test_capture")
        handler = logging.StreamHandler()
        logger.addHandler(handler)
        logger.propagate = False
        try:
            with capture.trial_log() as log:
                logger.warning("inside")
            logger.warning("outside")
            assert log.text() == "inside\n"
            assert err.getvalue() == "outside\n"
            capture.uninstall()
            assert handler.stream is err
        finally:
            logger.removeHandler(handler)


def test_a_log_handler_whose_stream_was_closed_meanwhile_does_no_harm():
    err = io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stderr(err):
        handler = logging.StreamHandler()
        logging.root.addHandler(handler)
        try:
            with capture.trial_log():
                assert handler.stream is not err
            err.close()
            capture.uninstall()
            assert handler.stream is err
            with capture.trial_log():
                assert handler.stream is not err
        finally:
            logging.root.removeHandler(handler)


def test_a_long_log_keeps_its_head_and_its_tail_and_says_what_is_missing():
    with capture.trial_log(limit=20) as log:
        print("0123456789", end="")
        for k in range(100):
            print(k, end="")
        print("ABCDEFGHIJ", end="")
    assert log.text() == "0123456789\n[... 190 characters left out ...]\nABCDEFGHIJ"


@pytest.mark.parametrize("size", [0, 1, 19, 20, 21, 1000])
def test_a_log_never_keeps_more_than_its_limit_and_nothing_less(size):
    log = capture.TrialLog(20)
    text = "".join(chr(97 + k % 26) for k in range(size))
    for k in range(0, size, 7):
        log.write(text[k : k + 7])
    if size <= 20:
        assert log.text() == text
    else:
        expected = f"{text[:10]}\n[... {size - 20} characters left out ...]\n{text[-10:]}"
        assert log.text() == expected


def test_installing_twice_wraps_once_and_uninstalling_gives_the_streams_back(streams):
    with streams() as (out, err):
        capture.install()
        once = sys.stdout
        capture.install()
        assert sys.stdout is once
        capture.uninstall()
        assert (sys.stdout, sys.stderr) == (out, err)


def test_the_proxy_is_the_stream_in_all_else(streams):
    with streams() as (out, _err):
        capture.install()
        assert sys.stdout.getvalue is not None
        sys.stdout.mark = 1
        assert out.mark == 1
        assert sys.stdout.isatty() is False
        sys.stdout.writelines(["a", "b"])
        assert out.getvalue() == "ab"


def test_a_redirection_that_ended_in_between_does_not_open_a_leak(streams):
    with streams() as (out, _err):
        with contextlib.redirect_stdout(io.StringIO()) as captured:
            capture.install()
            print("captured")
        with capture.trial_log() as log:
            print("hidden")
        assert log.text() == "hidden\n"
        assert captured.getvalue() == "captured\n"
        assert out.getvalue() == ""


def test_displayed_objects_go_to_the_log_as_text_and_are_used_up():
    hooks = []

    def register(hook):
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    capture.install(register)
    with capture.trial_log() as log:
        assert hooks[0]({"content": {"data": {"text/plain": "<Figure>", "image/png": "..."}}}) is None
        assert hooks[0]({"content": {"wait": True}}) is None
    assert hooks == []
    assert log.text() == "<Figure>\n"


def test_a_patch_of_write_sees_the_cells_text_alone_and_can_be_undone(streams):
    seen = []

    @contextlib.contextmanager
    def tee():  # as IPython does it for every cell
        found = sys.stdout.write

        def write(text):
            seen.append(text)
            return found(text)

        sys.stdout.write = write
        yield
        sys.stdout.write = found

    with streams() as (out, _):
        with tee():
            capture.install()  # in the first cell the patch is there already
        for _ in range(2000):  # would exceed the recursion limit if they were stacked
            with tee():
                pass
        with tee(), tee():
            sys.stdout.write("cell")
            with capture.trial_log() as log:
                sys.stdout.write("trial")
        sys.stdout.write("after")
        assert out.getvalue() == "cellafter"
    assert seen == ["cell", "cell"]
    assert log.text() == "trial"


def test_loggers_that_other_threads_make_meanwhile_are_no_trouble():
    ended = threading.Event()
    before = sys.getswitchinterval()

    def import_libraries():
        for number in itertools.count():
            if ended.is_set():
                return
            logging.getLogger(f"library{number}.part")

    for number in range(3000):
        logging.getLogger(f"library of long ago {number}")
    thread = threading.Thread(target=import_libraries)
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        for _ in range(30):
            with capture.trial_log():
                pass
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(before)
        for name in [name for name in logging.root.manager.loggerDict if name.startswith("library")]:
            del logging.root.manager.loggerDict[name]
