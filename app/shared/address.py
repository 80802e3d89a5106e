"""An image's address, SET/PATH: what links carry, and what tells images of several sets apart."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Address:
    """`path` is relative to the image set's folder."""

    image_set: str
    path: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        image_set, _, path = text.partition("/")
        return cls(image_set, path)

    @classmethod
    def of(cls, image: pd.Series) -> "Address":
        """Of a row of a scored table."""
        return cls(image["image_set"], image["path"])

    def __str__(self) -> str:
        return f"{self.image_set}/{self.path}"

    def rows(self, table: pd.DataFrame) -> pd.Series:
        """(B,) which rows of a scored table are this image."""
        return (table["image_set"] == self.image_set) & (table["path"] == self.path)


def by_address(table: pd.DataFrame) -> pd.DataFrame:
    """A scored table with its images' addresses as index."""
    return table.set_index(table["image_set"].astype("str") + "/" + table["path"])
