"""Prints docs/settings.md from the settings classes: `python -m docs.settings`."""

from __future__ import annotations

from importlib import import_module

from pydantic_core import PydanticUndefined

from facefoundry.settings import ChannelSettings, ServerSettings, Settings, StoreSettings

_MODULES = {
    "extractor": ["settings"],
    "trainer": ["settings", "backends.local.settings", "backends.kubernetes.settings"],
    "converter": ["settings"],
}


def _rows(kind: type[Settings], inherited: type[Settings] | None = None) -> list[str]:
    prefix = str(kind.model_config["env_prefix"])
    rows = []
    for name, field in kind.model_fields.items():
        if inherited and name in inherited.model_fields and field.default == inherited.model_fields[name].default:
            continue
        shown = _shown(field.default)
        default = "" if shown in (None, "", (), PydanticUndefined) else f"`{shown}`"
        rows.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |")
    return rows


def _shown(default: object) -> object:
    secret = getattr(default, "get_secret_value", None)
    return secret() if secret else default


def main() -> None:
    """Print the page."""
    print("# Settings\n\nEvery setting is an environment variable; flags win over variables, variables over defaults.")
    print(
        "An empty variable counts as not set. A process that finds a wrong value names variable and form, and ends with"
    )
    print("exit code 2 ([test](../tests/facefoundry/test_settings.py)).")
    print("\nWhat is set for Keras and TensorFlow, in variables or in `~/.keras/keras.json`, does not reach a worker.")
    print("`CUDA_VISIBLE_DEVICES` does ([test](../tests/services/trainer/worker/test_environment.py)).")
    sections: list[tuple[str, type[Settings], type[Settings] | None]] = [
        ("The object store (services and client)", StoreSettings, None),
        ("Where the services are (client)", ChannelSettings, None),
        ("Every service", ServerSettings, None),
    ]
    for service, modules in _MODULES.items():
        for path in modules:
            module = import_module(f"services.{service}.{path}")
            for name in module.__all__:
                kind = getattr(module, name)
                inherited = ServerSettings if issubclass(kind, ServerSettings) else None
                sections.append((f"The {service}: {name}", kind, inherited))
    for title, kind, base in sections:
        rows = _rows(kind, base)
        if rows:
            print(f"\n## {title}\n\n| variable | default | meaning |\n|---|---|---|\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
