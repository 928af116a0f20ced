from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.devnet.lifecycle.books import Books

ETH = 10**18
amounts = st.integers(0, 1000 * ETH)


@st.composite
def balanced(draw):
    """Books of a pool that paid out a part of what it had, and whose validators are all back."""
    deposits, validators = draw(amounts), draw(amounts)
    earned = draw(st.integers(-validators, ETH))
    clusters = draw(st.integers(0, ETH))
    there = deposits + earned - clusters
    payouts = draw(st.integers(0, max(there, 0)))
    balance = there - payouts
    reserved, unbooked = (draw(st.integers(0, max(balance, 0))) for _ in range(2))
    fees, stakers = draw(st.integers(0, max(balance, 0))), 0
    return Books(
        deposits=deposits,
        validators=validators,
        returned=validators + earned,
        on_beacon=0,
        clusters=clusters,
        payouts=payouts,
        balance=balance,
        buffered=balance - reserved - unbooked,
        reserved=reserved,
        unbooked=unbooked,
        reported=earned - unbooked,
        fee_shares={"operator 1": fees, "treasury": 0},
        staker_shares=stakers,
    )


@given(balanced().filter(lambda books: books.balance >= 0))
def test_what_came_in_is_paid_out_or_left(books):
    assert books.faults() == []
    assert books.payouts == books.deposits + books.rewards - books.fees - books.staker_shares - books.dust
    assert books.as_json()["balanced"] is True


@given(
    balanced().filter(lambda books: books.balance >= 0),
    st.sampled_from(["deposits", "returned", "clusters", "payouts", "balance", "buffered", "reported", "unbooked"]),
    st.sampled_from([-1, 1]),
)
def test_one_wei_more_or_less_anywhere_is_found(books, name, difference):
    wrong = replace(books, **{name: getattr(books, name) + difference})
    assert wrong.faults()
    assert wrong.as_json()["balanced"] is False


def test_shares_worth_more_than_there_is_are_found():
    books = Books(10, 0, 0, 0, 0, 4, 6, 6, 0, 0, 0, {"operator 1": 3}, 4)
    assert books.faults() == ["shares: worth 1 more than what is left, 6"]


@pytest.mark.parametrize("name", ["deposits", "rewards", "payouts"])
def test_amounts_are_texts(name):
    found = Books(2 * ETH, ETH, ETH + 5, 0, 0, ETH, ETH + 5, ETH + 5, 0, 0, 5, {}, ETH).as_json()
    assert found[name] == {"deposits": str(2 * ETH), "rewards": "5", "payouts": str(ETH)}[name]
    assert found["left"] == {
        "all": str(ETH + 5),
        "fee_shares": "0",
        "staker_shares": str(ETH),
        "dust": "5",
        "on_beacon_chain": "0",
    }
