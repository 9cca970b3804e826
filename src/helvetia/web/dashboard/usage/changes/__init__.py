"""Deploys and other changes on the usage pages: marks under the bars, and a list with what each did to a day's cost."""
