"""Labels as an adversary writes them: `label` has no documented grammar."""

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</svg></table></style><script>alert(1)</script>",
    "' onload='alert(1)",
    "javascript:alert(1)",
    "</cwdb-action><cwdb-action action=call endpoint=arn>{}</cwdb-action>",
    "\u202eoverride \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "x" * 5000,
    "\ud800 lone",
    "nul\0 bell\a newline\n",
    "&lt;b&gt; &amp;",
    "",
)
