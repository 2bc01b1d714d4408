// SPDX-License-Identifier: Apache-2.0
// How much a share changed, for ranking and for the score.

/// A change of a share from the past to the window.
struct Change: Sendable {
    enum Direction { case more, less }

    /// What ranks it: a lower bound of the change, less where it was already so before the window.
    var strength: Double
    /// What its score is made of: the lower bound at a confidence that holds though thousands of
    /// shares are compared, and as much where it was already so before the window. That something
    /// lasts makes it less likely that it is what the window is asked about, and no less an incident.
    var certainty: Double

    /// Normal quantile of the confidence of certainties: 99.5 % on one side.
    static let strict = 2.576

    /// Of shares in the three stretches.
    ///
    /// - Parameter worth: of each stretch the same share of as many as are independent: spans of one
    ///   trace fail together.
    init(
        _ shares: PerStretch<Share>, worth: PerStretch<Share>? = nil, _ direction: Direction
    ) {
        func difference(_ now: Share, _ past: Share, _ z: Double = 1.645) -> Double {
            switch direction {
            case .more: now.excess(over: past, z)
            case .less: now.shortfall(under: past, z)
            }
        }
        let (baseline, before, window) = (shares.baseline, shares.before, shares.window)
        if baseline.total == 0 {
            // Without a baseline the time before has to do.
            strength = difference(window, before) * 0.6
            certainty =
                difference(worth?.window ?? window, worth?.before ?? before, Change.strict) * 0.6
            return
        }
        strength = difference(window, baseline)
        let now = worth?.window ?? window, past = worth?.baseline ?? baseline
        certainty = difference(now, past, Change.strict)
        if before.total < 3 { return }
        // One or two observations are hardly a past.
        let trust = baseline.total < 3 ? 0.7 : 1
        let pooled = difference(window, baseline + before) * trust
        strength = combined(max(strength, pooled), difference(window, before))
        let between = worth?.before ?? before
        certainty = max(
            certainty,
            // What is new differs from all of the past; what lasts shows before the window too.
            difference(now, past + between, Change.strict) * trust,
            difference(now + between, past, Change.strict))
    }
}

/// How a difference from the baseline and one from the time just before count together.
///
/// What was already so just before the window is less likely to be what went wrong in it. It is not
/// ruled out: the window may begin late.
func combined(_ versusBaseline: Double, _ versusBefore: Double?) -> Double {
    guard versusBaseline > 0, let versusBefore else { return versusBaseline }
    let confirmed = min(1, max(0, versusBefore) / versusBaseline)
    return versusBaseline * (0.6 + 0.4 * confirmed)
}
