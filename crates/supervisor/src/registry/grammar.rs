//! The grammar of a registry: every element and attribute, what it holds, and whether it works yet.
//!
//! One table drives everything: the check of a file's structure, the suggestions for misspelt names, the check of
//! each value, and the XSD (`docs/SupervisorRegistry.xsd` is made from it). What is marked `later` is known, so that
//! it is not taken for a misspelling, and refused, so that it is never ignored.

use super::values::Kind;

/// What is known of an element.
#[derive(Debug)]
pub(super) struct ElementRule {
    pub(super) name: &'static str,
    /// What it means, for the XSD, where editors show it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test makes the XSD"))]
    pub(super) about: &'static str,
    pub(super) attributes: &'static [AttributeRule],
    pub(super) content: Content,
    /// Whether it may stand more than once in the same place.
    pub(super) many: bool,
    /// Whether it says nothing at all unless it holds an element.
    pub(super) filled: bool,
    /// Whether it does not work yet.
    pub(super) later: bool,
}

/// What may stand between an element's tags.
#[derive(Debug)]
pub(super) enum Content {
    Nothing,
    Value(Kind),
    /// These elements, in any order.
    Elements(&'static [&'static ElementRule]),
    /// One of these elements.
    OneOf(&'static [&'static ElementRule]),
}

/// What is known of an attribute.
#[derive(Debug)]
pub(super) struct AttributeRule {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

impl ElementRule {
    /// The elements that may stand in it.
    pub(super) fn children(&self) -> &'static [&'static ElementRule] {
        match self.content {
            Content::Elements(children) | Content::OneOf(children) => children,
            Content::Nothing | Content::Value(_) => &[],
        }
    }

    const fn with(mut self, attributes: &'static [AttributeRule]) -> Self {
        self.attributes = attributes;
        self
    }

    const fn many(mut self) -> Self {
        self.many = true;
        self
    }

    const fn filled(mut self) -> Self {
        self.filled = true;
        self
    }

    const fn later(mut self) -> Self {
        self.later = true;
        self
    }
}

const fn rule(name: &'static str, content: Content, about: &'static str) -> ElementRule {
    ElementRule { name, about, attributes: &[], content, many: false, filled: false, later: false }
}

const fn value(name: &'static str, kind: Kind, about: &'static str) -> ElementRule {
    rule(name, Content::Value(kind), about)
}

const fn group(
    name: &'static str,
    children: &'static [&'static ElementRule],
    about: &'static str,
) -> ElementRule {
    rule(name, Content::Elements(children), about)
}

const fn one_of(
    name: &'static str,
    children: &'static [&'static ElementRule],
    about: &'static str,
) -> ElementRule {
    rule(name, Content::OneOf(children), about).filled()
}

const fn mark(name: &'static str, about: &'static str) -> ElementRule {
    rule(name, Content::Nothing, about)
}

const fn required(name: &'static str, kind: Kind) -> AttributeRule {
    AttributeRule { name, kind, required: true }
}

const fn optional(name: &'static str, kind: Kind) -> AttributeRule {
    AttributeRule { name, kind, required: false }
}

/// The root.
pub(super) static SUPERVISOR: ElementRule = group(
    "supervisor",
    &[&CONFIG, &SETTINGS, &INCLUDE, &PROFILES, &SERVERS],
    "What a Server Supervisor runs, and how.",
);

static CONFIG: ElementRule = group(
    "config",
    &[
        &value("tcpport", PORT_OR_NONE, "Control port on the loopback interface; absent or 0: none."),
        &value("log", Kind::File, "Folder and base name of the supervisor's own log; the date is put in."),
        &value("temp", Kind::Path, "Folder for what the supervisor keeps while it runs."),
        &value("tracelevel", Kind::Number { min: 1, max: 4 }, "How much is logged: 1 to 4."),
        &value("tracestatsinterval", Kind::Interval, "Seconds between memory statistics; 0: off."),
        &value("logDays", Kind::Number { min: 1, max: 36_500 }, "Days that dated log files are kept."),
        &value(
            "logFormat",
            choice(&["text", "json"]),
            "How the supervisor's own log is written: text or json.",
        ),
        &mark("restartBudget", "The most restarts at once over all components; 0: no limit.").with(&[
            required("max", Kind::Number { min: 0, max: 1_000_000 }),
            optional("within", Kind::PositiveDuration),
        ]),
        &value("onGiveUp", choice(&["continue", "shutdown"]), "When an essential component is given up."),
    ],
    "The supervisor itself.",
);

static SETTINGS: ElementRule = group(
    "settings",
    &[&value("setting", Kind::Text, "The value that SV::Name stands for.")
        .with(&[required("name", Kind::SettingName), optional("secret", Kind::Boolean)])
        .many()],
    "Values that stand wherever SV::Name is written.",
);

static INCLUDE: ElementRule =
    mark("include", "Reads other files too: a path, relative to this file, or a glob of the last part.")
        .with(&[required("href", Kind::Path)])
        .many();

static PROFILES: ElementRule = group(
    "profiles",
    &[&group("profile", COMPONENT, "A named bundle of anything that a server may have.")
        .with(&[required("id", Kind::Name)])
        .many()],
    "Bundles that servers refer to.",
);

static SERVERS: ElementRule = group(
    "servers",
    &[&group("server", COMPONENT, "A component: one program that is kept running.")
        .with(&[required("id", Kind::Id)])
        .many()],
    "The components.",
);

/// What a server and a profile may have.
pub(super) static COMPONENT: &[&ElementRule] = &[
    &value("description", Kind::Text, "A line for people."),
    &mark("profile", "A profile whose content this one begins with.")
        .with(&[required("ref", Kind::Name)])
        .many(),
    &value("executable", Kind::Path, "The program: a path, or a bare name looked up in PATH."),
    &group("arguments", &[&ARGUMENT], "Arguments, after those of the profiles."),
    &group("trailingArguments", &[&ARGUMENT], "Arguments that come after all others."),
    &value("workingDirectory", Kind::Path, "The folder it runs in. Default: the install folder."),
    &ENVIRONMENT,
    &value("user", Kind::Name, "The account it runs as, by name or number."),
    &value("group", Kind::Name, "The group it runs as, by name or number."),
    &value("umask", Kind::Octal, "Permission bits, in octal, that files it makes do not get."),
    &value("nice", Kind::Number { min: -20, max: 19 }, "Its niceness."),
    &value("oomScoreAdjust", Kind::Number { min: -1000, max: 1000 }, "How gladly Linux kills it for memory.")
        .later(),
    &LIMITS,
    &value("startPriority", Kind::Number { min: 0, max: 65_535 }, "Lower starts first. Default: 1."),
    &value("startDelay", Kind::Duration, "How long it must be up to count as started. Default: 0."),
    &value("stopTimeout", Kind::Duration, "How long it is given to stop. Default: 60 s."),
    &value("autostart", Kind::Boolean, "Whether it starts with the supervisor. Default: true."),
    &value("instances", Kind::Number { min: 1, max: 10_000 }, "How many of it run. Default: 1."),
    &mark("dependsOn", "A component without which no run of this one begins.")
        .with(&[required("ref", Kind::Id), optional("condition", choice(&["started", "ready", "completed"]))])
        .many(),
    &RESTART,
    &mark("restartGroup", "Components that restart together.").with(&[
        required("name", Kind::Name),
        optional("strategy", choice(&["oneForOne", "oneForAll", "restForOne"])),
    ]),
    &value("essential", Kind::Boolean, "Whether the supervisor cannot do without it. Default: false."),
    &READINESS,
    &HEALTH,
    &mark("watchdog", "How often it must send WATCHDOG=1 to its NOTIFY_SOCKET.")
        .with(&[required("timeout", Kind::PositiveDuration)]),
    &mark("memory", "The most memory that it may use, all its processes together.")
        .with(&[required("max", Kind::Size), optional("action", GUARD_ACTION)]),
    &group("stop", &[&SIGNAL, &EXEC], "The steps by which it is stopped. Default: SIGTERM to its group.")
        .filled(),
    &group("reload", &[&SIGNAL, &EXEC], "The steps by which it reads its configuration again.").filled(),
    &group("cleanup", &[&ARGUMENT], "A command that is run after every end of it.")
        .with(&[optional("timeout", Kind::PositiveDuration)])
        .filled(),
    &group(
        "evidence",
        &[&SIGNAL, &EXEC],
        "What is done to find out why it hangs, before it is killed for that.",
    )
    .filled(),
    &OUTPUT,
    &mark("listen", "A socket that the supervisor holds for it.")
        .with(&[required("name", Kind::Name), optional("tcp", Kind::Name), optional("unix", Kind::Path)])
        .many()
        .later(),
];

static ARGUMENT: ElementRule = value("argument", Kind::Text, "One argument.").many();

static ENVIRONMENT: ElementRule = group(
    "environment",
    &[
        &value("variable", Kind::Text, "The value of a variable.")
            .with(&[required("name", Kind::VariableName), optional("secret", Kind::Boolean)])
            .many(),
        &value("file", Kind::Path, "A file of lines NAME=VALUE.")
            .with(&[optional("secret", Kind::Boolean)])
            .many(),
    ],
    "Its environment beside, or instead of, the supervisor's.",
)
.with(&[optional("clear", Kind::Boolean)]);

static LIMITS: ElementRule = group(
    "limits",
    &[&mark("limit", "A limit; one number stands for both.")
        .with(&[
            required("name", choice(RESOURCES)),
            optional("soft", Kind::Amount),
            optional("hard", Kind::Amount),
        ])
        .many()],
    "Limits of the operating system.",
);

/// The names of [`crate::Resource`].
pub(super) const RESOURCES: &[&str] =
    &["as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack"];

static RESTART: ElementRule = group(
    "restart",
    &[&mark("exit", "What to do after a certain end.")
        .with(&[
            optional("code", Kind::Number { min: 0, max: 255 }),
            optional("signal", Kind::Signal),
            optional("action", choice(&["restart", "stop", "giveUp"])),
        ])
        .many()],
    "What to do when it has ended by itself.",
)
.with(&[
    optional("policy", choice(&["always", "onFailure", "never"])),
    optional("delay", Kind::Duration),
    optional("maxDelay", Kind::Duration),
    optional("factor", Kind::Decimal { min: 1, max: 1_000 }),
    optional("jitter", Kind::Decimal { min: 0, max: 1 }),
    optional("resetAfter", Kind::Duration),
    optional("max", Kind::Number { min: 0, max: 1_000_000 }),
    optional("within", Kind::PositiveDuration),
    optional("retryAfter", Kind::Duration),
]);

static OUTPUT: ElementRule =
    mark("output", "Where its output goes. Default: a dated file beside the own log.").with(&[
        optional("file", Kind::File),
        optional("maxSize", Kind::Size),
        optional("keep", Kind::Number { min: 0, max: 10_000 }),
        optional("days", Kind::Number { min: 1, max: 36_500 }),
        optional("maxTotal", Kind::Size),
        optional("minFree", Kind::Size),
        optional("compress", Kind::Boolean),
        optional("whenFull", choice(&["block", "drop"])),
        optional("blockFor", Kind::Duration),
        optional("stderr", choice(&["join", "file", "null"])),
        optional("timestamps", Kind::Boolean),
        optional("format", choice(&["raw", "json"])),
    ]);

static READINESS: ElementRule = one_of(
    "readiness",
    &[
        &mark("notify", "It sends READY=1 to its NOTIFY_SOCKET."),
        &value("notifyFd", Kind::Number { min: 3, max: 1_023 }, "It writes a newline to this descriptor."),
        &TCP,
        &HTTP,
        &PROBE,
        &mark("log", "A line of its output matches a regular expression.")
            .with(&[required("pattern", Kind::Pattern)]),
    ],
    "How it is known that it is ready.",
)
.with(&[optional("timeout", Kind::PositiveDuration)]);

static HEALTH: ElementRule =
    one_of("health", &[&TCP, &HTTP, &PROBE], "How it is known that it is still well.").with(&[
        optional("interval", Kind::PositiveDuration),
        optional("timeout", Kind::PositiveDuration),
        optional("failures", Kind::Number { min: 1, max: 1_000 }),
        optional("startAfter", Kind::Duration),
        optional("action", GUARD_ACTION),
    ]);

static TCP: ElementRule = mark("tcp", "It takes a connection.")
    .with(&[required("port", Kind::Number { min: 1, max: 65_535 }), optional("host", Kind::Name)]);

static HTTP: ElementRule = mark("http", "It answers a GET with one of these statuses.")
    .with(&[required("url", Kind::HttpUrl), optional("status", Kind::HttpStatus)]);

static PROBE: ElementRule = group("exec", &[&ARGUMENT], "A command ends with code 0.").filled();

static EXEC: ElementRule = group("exec", &[&ARGUMENT], "A command is run.")
    .with(&[optional("timeout", Kind::PositiveDuration)])
    .filled()
    .many();

static SIGNAL: ElementRule = mark("signal", "A signal is sent.")
    .with(&[
        required("name", Kind::Signal),
        optional("wait", Kind::Duration),
        optional("to", choice(&["group", "main"])),
    ])
    .many();

const GUARD_ACTION: Kind = choice(&["restart", "report"]);
const PORT_OR_NONE: Kind = Kind::Number { min: 0, max: 65_535 };

const fn choice(values: &'static [&'static str]) -> Kind {
    Kind::Choice { values, later: &[] }
}

/// The elements in which an element of this name may stand.
pub(super) fn parents_of(name: &str) -> Vec<&'static str> {
    let mut parents = Vec::new();
    visit(&SUPERVISOR, &mut |element| {
        let is_parent = element.children().iter().any(|child| child.name == name);
        if is_parent && !parents.contains(&element.name) {
            parents.push(element.name);
        }
    });
    parents
}

/// Calls `with` for an element and every element below it.
pub(super) fn visit(element: &'static ElementRule, with: &mut impl FnMut(&'static ElementRule)) {
    with(element);
    for child in element.children() {
        visit(child, with);
    }
}

#[cfg(test)]
mod tests;
