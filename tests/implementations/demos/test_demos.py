"""Every demo holds its claims on its own budget, and its experiments can be asked for one by one."""

import pytest

from implementations import demos
from implementations.lab.demo import name_of
from implementations.lab.perform import perform


@pytest.mark.slow
@pytest.mark.parametrize("slug", demos.slugs())
def test_a_demo_holds_its_claims(slug):
    demo, _ = demos.find(slug)
    result = perform(slug, demo, demo.run())
    assert [claim.name for claim in result.claims if not claim.holds] == []
    assert [figure.name for figure in result.figures][:1] == [slug]


@pytest.mark.parametrize("slug", demos.slugs())
def test_names_of_experiments_differ_and_the_demo_says_what_it_does(slug):
    demo, about = demos.find(slug)
    for experiments in (demo.claims, demo.figures):
        names = [name_of(experiment) for experiment in experiments]
        assert names and len(set(names)) == len(names)
    assert about.endswith(".")
