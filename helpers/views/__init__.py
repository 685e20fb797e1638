"""Views: they take plain data and know no lesson."""
