// SPDX-License-Identifier: Apache-2.0
// When and how finely an evaluation is cut into slices.

import Base

/// How expressions over many series are cut into slices, which threads compute side by side.
///
/// Where the cuts are follows from the query and the number of series alone, so that an answer
/// does not depend on how many threads there were.
package struct Slicing: Sendable {
    /// Threads that help when they have nothing else to do; nil = none.
    package var helpers: WorkerPool?
    /// Work below which handing over does not pay, in units of a float at a step.
    package var leastWork = 60_000
    /// Work of one slice, in the same units.
    package var sliceWork = 40_000
    /// Most bytes of the columns of one slice.
    package var sliceBytes = 1 << 18
    /// Steps beyond which a column alone is large, and evaluation stays in one piece.
    package var maxSteps = 16_384
    package init() {}

    /// What finding and reading a series costs in units of a step.
    private static let seriesWork = 250

    /// Series per slice; nil when the work does not suffice for two slices.
    func sliceSize(series: Int, steps: Int) -> Int? {
        let work = Slicing.seriesWork + steps
        guard steps <= maxSteps, series > 1, series * work >= leastWork else { return nil }
        let size = max(
            1, min(sliceWork / work, sliceBytes / max(1, StepColumn.byteCount(steps: steps))))
        return size < series ? size : nil
    }
}
