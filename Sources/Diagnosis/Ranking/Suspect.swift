// SPDX-License-Identifier: Apache-2.0
// What is suspected, as the answer names it.

import Correlation
import Glibc
import Telemetry

/// Languages of evidence.
package enum EvidenceLanguage: String, Sendable { case promql, logql, traceql }

/// A number that can be seen for oneself.
package struct Evidence: Sendable {
    package enum Signal: String, Sendable { case metrics, logs, traces }
    package var signal: Signal
    package var text: String
    package var query: String
    package var language: EvidenceLanguage
    /// The query for the baseline: the same, but that a range in brackets is as long as the baseline.
    package var baselineQuery: String
    /// What the query gives over the stretch, 0 when it counts and gives nothing; nil without samples.
    package var baseline: Double?
    package var window: Double?
}

/// Where the cause may be.
package struct Suspect: Sendable {
    package var service: String
    package var operation: String?
    package var code: CodeLocation?
    /// The code between two log lines; a start or end of a span is named by its operation.
    package var codeRange: (CodeLocation, CodeLocation)?
    package var resource: Resource?
    /// From 0 to 1; above `incidentThreshold` something is wrong.
    package var score: Double
    package var summary: String
    package var evidence: [Evidence] = []
    package var traceIDs: [TraceID] = []

    /// Scores below it are differences as they occur on good days too.
    package static let incidentThreshold = 0.5
    /// Scores below it are not worth an answer.
    package static let leastScore = 0.1

    /// Moves the certainty that incidents have and hardly any quiet minute reaches to the threshold;
    /// order, 0 and 1 stay. Measured: docs/numbers/diagnosis.md.
    static func calibrated(_ certainty: Double) -> Double {
        pow(min(1, max(0, certainty)), 0.8)
    }
}

/// What a diagnosis answers.
package struct DiagnosisAnswer: Sendable {
    package var window: NanosRange
    package var baseline: NanosRange
    /// Most suspicious first.
    package var suspects: [Suspect]
    /// What could not be looked at, in sentences.
    package var notes: [String]
    /// By stretch, in the order of `Stretch.allCases`.
    package var spanCounts: [Int]
    package var lineCounts: [Int]
    package var linesWithTrace: [Int]
    /// Of resources, with samples in the window.
    package var seriesCount: Int
    /// Part of the traces that were looked at.
    package var traceShare: Double
    /// Set by whoever has a clock.
    package var elapsedSeconds = 0.0
}
