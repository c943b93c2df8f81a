//! Files that end because somebody asks for it.

use super::*;

impl Bench {
    /// Asks for the files of this component's output to end; what comes of it.
    fn rotate(&self, request: u64, component: u32, spec: &ProcessSpec) -> Result<bool, Arc<str>> {
        self.pump.rotate(RequestId(request), component, spec).unwrap();
        match self.news.recv_timeout(LONG).unwrap() {
            News::Rotated { request: RequestId(its), component: of, result }
                if (its, of) == (request, component) =>
            {
                result
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_was_written_before_somebody_asked_is_in_the_file_that_ends() {
    let bench = Bench::new();
    let spec = spec(Output::File { log: bench.log("ps.log"), stderr: Stderr::File }, None);
    let component = bench.run_of(1, 0, &spec);
    component.say("one\nbeg");
    component.complain("oh\n");
    assert_eq!(bench.rotate(7, 0, &spec), Ok(true));
    component.say("inning\n");
    assert_eq!(bench.rotate(8, 0, &spec), Ok(true), "though there is nothing new in the other file");
    assert_eq!(bench.rotate(9, 0, &spec), Ok(false));
    component.say("last\n");
    let folder = bench.finish();
    assert_eq!(whole_log(folder.path(), "ps.log"), [&b"one\n"[..], b"beginning\n", b"last\n"]);
    assert_eq!(whole_log(folder.path(), "ps-stderr.log"), [&b"oh\n"[..], b""]);
}

#[test]
fn a_component_that_does_not_run_may_have_a_file_that_ends() {
    let bench = Bench::new();
    let of = |log| spec(Output::File { log, stderr: Stderr::Join }, None);
    // It has run under an earlier supervisor, and its last line has no end.
    let earlier = of(bench.log("ps.log"));
    fs::write(bench.folder.path().join("ps.log"), "one\nlast words").unwrap();
    assert_eq!(bench.rotate(1, 0, &earlier), Ok(true));
    assert_eq!(bench.rotate(2, 0, &earlier), Ok(false));
    // It has never run.
    assert_eq!(bench.rotate(3, 1, &of(bench.log("is.log"))), Ok(false));
    assert_eq!(bench.rotate(4, 1, &of(bench.log("missing/is.log"))), Ok(false));
    // It has run under this one, and its last line has no end either.
    let spec = of(bench.log("svg.log"));
    let component = bench.run_of(1, 2, &spec);
    component.say("one\nlast words");
    drop(component);
    until("its output is stored", || holds(&bench.folder.path().join("svg.log"), "one\nlast words"));
    assert!(bench.pump.ended(RunId { component: 2, number: 1 }, &spec));
    bench.pump.wake();
    assert!(matches!(bench.news.recv_timeout(LONG), Ok(News::LastWords { .. })));
    assert_eq!(bench.rotate(5, 2, &spec), Ok(true));
    let folder = bench.finish();
    for name in ["ps.log", "svg.log"] {
        assert_eq!(whole_log(folder.path(), name), [&b"one\nlast words\n"[..], b""]);
    }
    assert_eq!(names_in(folder.path()), ["ps.log", "ps.log.1", "svg.log", "svg.log.1"]);
}

#[test]
fn whoever_asks_is_told_why_a_file_cannot_end() {
    let bench = Bench::new();
    let spec = spec(Output::File { log: bench.log("missing/logs/ps.log"), stderr: Stderr::Join }, None);
    let _component = bench.run_of(1, 0, &spec);
    assert!(matches!(bench.news.recv_timeout(LONG), Ok(News::Stored { problem: Some(_), .. })));
    let why = bench.rotate(1, 0, &spec).unwrap_err();
    assert!(why.contains("cannot make the folder"), "{why}");
}
