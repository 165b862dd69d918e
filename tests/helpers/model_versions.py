"""Challengers in a workspace's registry, without training one."""

import json
from pathlib import Path
from typing import Any

from core.events.types import ModelRef
from core.model import bundle as bundles
from core.storage.active_model import resolve_model
from core.storage.workspace import Workspace


def comparison(champion: ModelRef, gain: float = 0.02) -> dict[str, Any]:
    """What a retraining writes about a challenger."""
    row = {
        "champion": 0.9,
        "challenger": 0.9 + gain,
        "difference": gain,
        "interval": [gain - 0.01, gain + 0.01],
    }
    scores = dict.fromkeys(("pr_auc_macro", "pr_auc_micro", "precision", "recall"), row)
    part = {"clips": 400, "recordings": 150, "decisions": 17_200, "scores": scores}
    learned = {"decisions": 60, "champion": 30, "challenger": 54}
    held_back = {"decisions": 12, "champion": 6, "challenger": 9}
    counts = {"sounds": 40, "decisions": 120, "by_actor": {"Ada": 60}, "by_tag": {}}
    return {
        "format": 1,
        "champion": champion.model_dump(mode="json"),
        "challenger": {"name": champion.name, "fingerprint": ""},
        "parts": {"test": part, "held_back": part},
        "others": {"wrong_suggestion": row},
        "changes": {
            "tags_gained": [],
            "tags_lost": [],
            "thresholds": [{"tag": "rain", "champion": 0.5, "challenger": 0.45}],
            "suggestions": {"clips": 400, "changed": 0.12, "champion": 2.1, "challenger": 2.3},
        },
        "by_actor": {"Ada": {"trained": learned, "held_back": held_back}},
        "corrections": {
            **counts,
            "last_event": {"time": "2026-11-26T10:00:00.000000Z", "event_id": "0" * 32},
            "held_back": counts,
            "left_out": {"license unknown": 3},
        },
        "verdict": {
            "kind": "better",
            "excludes_loss": True,
            "text": f"The challenger is better: PR-AUC {gain:+.3f} on test recordings.",
        },
    }


def add_challenger(workspace: Workspace, folder: Path) -> ModelRef:
    """Register another version of the default model, with a comparison to the active one."""
    champion = resolve_model(workspace).model
    bundles.copy(bundles.load(), folder)
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(description | {"data": str(folder)}))
    model = workspace.models.register(bundles.load(folder))
    workspace.models.add_note(model, "comparison", comparison(champion))
    return model
