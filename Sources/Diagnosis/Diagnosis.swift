// SPDX-License-Identifier: Apache-2.0
// Front door of Diagnosis.

import Telemetry

/// What differs between two stretches of time, and where: from the raw stores, without training and
/// without configuration. docs/diagnosis.md tells how it thinks.
package struct Diagnosis: Sendable {
    let sources: SignalSources
    let limits: ReadLimits

    package init(_ sources: SignalSources, limits: ReadLimits = ReadLimits()) {
        self.sources = sources
        self.limits = limits
    }

    /// Suspects for what is wrong in the window.
    ///
    /// - Throws: `UnknownScope` when there is no such service, trace or series; `QueryInterruption`,
    ///   what the stores throw.
    package func diagnose(
        _ request: DiagnosisRequest, _ context: ReadContext
    ) throws -> DiagnosisAnswer {
        var reader = SignalReader(sources, request, limits, context)
        let observations = try reader.read()
        try context.check()
        let findings = Diagnosis.findings(observations, request)
        try context.check()
        let scope = try Scope(request, sources, observations, context)
        let candidates = Ranking(observations).candidates(findings).filter {
            scope.contains($0.service)
        }
        let names = SuspectNaming(observations: observations).names(candidates)
        let builder = EvidenceBuilder(
            observations, request,
            EvidenceRunner(sources: sources, tenant: request.tenant, context: context))
        return DiagnosisAnswer(
            window: request.window, baseline: request.baseline,
            suspects: try names.prefix(request.limit).map(builder.complete),
            notes: observations.notes + CoverageNotes(observations).texts,
            spanCounts: Stretch.allCases.map { stretch in
                observations.spans.stretches.count { $0 == stretch }
            },
            lineCounts: Stretch.allCases.map { stretch in
                observations.lines.lineCounts.values.reduce(0) { $0 + $1[stretch] }
            },
            linesWithTrace: Stretch.allCases.map { stretch in
                observations.lines.tracedCounts.values.reduce(0) { $0 + $1[stretch] }
            },
            seriesCount: observations.series.count, traceShare: observations.traceShare)
    }

    /// All that differs, in no order: in the whole window, and in its second half, since who asks often
    /// begins too early. A window that is too early by less than half loses nothing then.
    static func findings(_ observations: Observations, _ request: DiagnosisRequest) -> [Finding] {
        let late = SecondHalf(observations, from: request.windowMiddle)
        let known = KnownFailures(observations)
        return
            (behaviour(observations) + late.mapped(behaviour(late.observations)))
            .map(known.weighed)
            + ResourceSignals.findings(observations) + versions(observations)
    }

    private static func behaviour(_ observations: Observations) -> [Finding] {
        PathSignals(observations).findings() + TimeSignals(observations).findings()
            + ErrorSignals(observations).findings()
    }

    /// A new version by itself is a weak reason.
    private static func versions(_ observations: Observations) -> [Finding] {
        observations.versions.indices.map { number in
            Finding(
                service: observations.versions[number].service, operation: nil,
                kind: .version(number), strength: 0.5, certainty: 0.5)
        }
    }
}
