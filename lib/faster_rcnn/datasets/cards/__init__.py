"""Data set cards: what they say, as objects.

Belongs here: the Card, the keys of its file, and where cards are looked for.
May import: files, settings, images, annotations.
"""
from faster_rcnn.datasets.cards.card import Card, CardError
from faster_rcnn.datasets.cards.store import FOLDER, is_card, is_card_path, list_cards, load_card

__all__ = ["FOLDER", "Card", "CardError", "is_card", "is_card_path", "list_cards", "load_card"]
