// SPDX-License-Identifier: Apache-2.0
// Sums that do not lose small terms.

/// Adds with Neumaier's compensation. Source: prometheus/prometheus `util/kahansum`.
///
/// What rounding took is found by Knuth's two-sum, which needs not know which of the two is the
/// larger one: both ways the rest is exact, so it is the same number, and loops have no branch.
@inline(__always)
func compensatedAdd(_ term: Double, to sum: inout Double, _ compensation: inout Double) {
    let total = sum + term
    let added = total - sum
    let rest = (sum - (total - added)) + (term - added)
    compensation = total.isInfinite ? 0 : compensation + rest
    sum = total
}
