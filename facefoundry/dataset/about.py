"""What people should know of a dataset, as its dataset file says."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["About"]


class About(BaseModel):
    """What the datasheet of a dataset says of it that no record knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    motivation: str = Field("", max_length=2000, description="Why the dataset is made, and what for.")
    collection: str = Field("", max_length=2000, description="How the clips were recorded or found, and when.")
    contact: str = Field("", max_length=500, description="Whom to ask about the dataset, and to withdraw consent.")
    maintenance: str = Field("", max_length=2000, description="Who keeps the dataset, for how long, and how.")
