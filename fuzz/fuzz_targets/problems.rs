//! What must be true of problems, whatever is wrong.

use supervisor::registry::RegistryError;

/// More is no message any more.
const LONGEST_MESSAGE: usize = 4_000;

/// Each is one line that a terminal can show, and there are not too many.
pub fn check(error: &RegistryError) {
    let problems = error.problems();
    assert!((1..=1_000).contains(&problems.len()), "{} problems", problems.len());
    assert!(error.more() == 0 || problems.len() == 1_000);
    for problem in problems {
        assert!(problem.line >= 1 && problem.column >= 1, "{problem}");
        assert!(!problem.message.is_empty() && problem.message.len() <= LONGEST_MESSAGE, "{problem}");
        assert!(!problem.message.contains(char::is_control), "{:?}", problem.message);
    }
    let shown = error.render(false);
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert!(error.render(true).len() >= shown.len());
}
