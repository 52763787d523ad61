"""Work that lives as long as a call: a plan, done in a sandboxed child, whose parts are stored as they get finished.

servicer: plan(request) ── Plan ──> Runner.run ── Progress ... Committed ──> responses
│  ▲
arguments, workspace ▼  │ Progress | Resumed | PartsReady | Result
SandboxFunction in a sandbox
"""
