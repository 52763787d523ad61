"""Does the work of one call: a plan is carried out in a sandbox, and its parts are stored as they are finished.

A plan is work whose result is stored, a job is work whose result is only returned. A part is one stored object.

servicer: plan(request) ── Plan ──> Runner.run ── Progress ... Committed ──> responses
│  ▲
arguments, workspace ▼  │ Progress | Resumed | PartsReady | Result
SandboxFunction in a sandbox
"""
