// SPDX-License-Identifier: Apache-2.0
// What a remote write request holds once decoded.

import Base
import Telemetry

/// Bounds of one decoded metric request. Zero is no bound.
package struct MetricDecodingLimits: Sendable, Equatable {
    /// Labels of one series, `__name__` included.
    package var labelsPerSeries = 512
    /// Bytes of a label name.
    package var labelNameBytes = 4096
    /// Bytes of a label value.
    package var labelValueBytes = 65_536
    /// Float samples, histograms and exemplars together; far above what a sender batches.
    package var points = 8_000_000
    /// Bytes of labels, histograms and metadata that a request may unfold to. Symbol tables let a
    /// small body name the same long string often. At most 2 GiB.
    package var arenaBytes = 512 << 20

    package init() {}
}

/// A remote write body in columns, with what was wrong in it.
///
/// A series with a problem is not in the batch. The version decides what that means: 1.0 skips
/// series with invalid labels silently (and counts them) but refuses the request for an invalid
/// histogram; 2.0 stores the rest and answers 400 with the messages.
package struct RemoteWriteRequest: Sendable {
    package var batch = MetricBatch()

    /// Problems in the order of the request, the first `maxProblems` of them; the counts below
    /// cover all.
    package var problems: [SeriesProblem] = []
    /// Series left out because of their labels or references.
    package var rejectedSeries = 0
    package var rejectedSamples = 0
    package var rejectedHistograms = 0
    package var rejectedExemplars = 0
    /// Whether a histogram was refused for its content.
    package var hasInvalidHistogram = false

    /// Most problems that are described.
    package static let maxProblems = 32

    package init() {}

    mutating func report(_ problem: @autoclosure () -> SeriesProblem) {
        if problems.count < RemoteWriteRequest.maxProblems { problems.append(problem()) }
    }
}

/// What is wrong with one series.
package struct SeriesProblem: Sendable, Equatable {
    package enum Kind: Sendable {
        /// No `__name__`, an empty one, an empty label name, or text that is not UTF-8.
        case invalidLabels
        case duplicateLabel
        /// More or longer labels than `MetricDecodingLimits` allows.
        case limit
        /// A reference outside the symbol table, or an odd number of references (2.0).
        case badReference
        /// Samples and histograms in one series (2.0).
        case mixed
        case invalidHistogram
    }
    package var kind: Kind
    /// For the answer's text.
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
}
