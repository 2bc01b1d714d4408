// SPDX-License-Identifier: Apache-2.0
// How much of the telemetry can be correlated.

import Base
import Correlation
import Telemetry

/// What of one service can be correlated.
package struct ServiceCoverage: Sendable, Equatable {
    package var service: String
    package var spans = 0
    package var spansWithCode = 0
    package var lines = 0
    package var linesWithTrace = 0
    package var series = 0
}

/// A name that occurs in some signals only, and what it may be another name of.
package struct UnmatchedName: Sendable, Equatable {
    package var name: String
    package var hasSpans: Bool
    package var hasLines: Bool
    package var hasSeries: Bool
    package var proposal: String?
    package var reason: String?
    /// An entry of `correlation.identities` that makes the two one.
    package var entry: String?
}

package struct Coverage: Sendable {
    /// By name.
    package var services: [ServiceCoverage] = []
    package var unmatched: [UnmatchedName] = []
    /// Lines and series that no label names a service of.
    package var linesWithoutService = 0
    package var seriesWithoutService = 0
    package var notes: [String] = []

    package var total: ServiceCoverage {
        services.reduce(into: ServiceCoverage(service: "")) { sum, one in
            sum.spans += one.spans
            sum.spansWithCode += one.spansWithCode
            sum.lines += one.lines
            sum.linesWithTrace += one.linesWithTrace
            sum.series += one.series
        }
    }
}

extension Diagnosis {
    /// Counts what is there from spans, lines and series of the stretch, up to the read limits.
    ///
    /// - Throws: `QueryInterruption`, what the stores throw.
    package func coverage(
        tenant: Tenant, range: NanosRange, _ context: ReadContext
    ) throws -> Coverage {
        var counter = CoverageCounter()
        try counter.countSpans(sources, tenant, range, limits, context)
        try counter.countLines(sources, tenant, range, limits, context)
        try counter.countSeries(sources, tenant, range, limits, context)
        return counter.coverage
    }
}

private struct CoverageCounter {
    private var services: [String: ServiceCoverage] = [:]
    private var result = Coverage()

    var coverage: Coverage {
        var coverage = result
        coverage.services = services.values.sorted { $0.service < $1.service }
        coverage.unmatched = NameProposals(coverage.services).unmatched
        return coverage
    }

    private mutating func change(_ name: String, _ body: (inout ServiceCoverage) -> Void) {
        body(&services[name, default: ServiceCoverage(service: name)])
    }

    mutating func countSpans(
        _ sources: SignalSources, _ tenant: Tenant, _ range: NanosRange, _ limits: ReadLimits,
        _ context: ReadContext
    ) throws {
        var count = 0
        try sources.spans.search(SpanRequest(tenant: tenant, range: range), context) { batch in
            try context.check()
            let names = batch.resources.map {
                sources.index.serviceName(ofResource: $0, in: batch.arena)
            }
            for row in 0..<batch.rowCount where range.contains(batch.startNanos[row]) {
                count += 1
                let hasCode =
                    batch.arena.withSlice(batch.attributes[row]) { contains(codePrefix, $0) }
                    || batch.arena.withSlice(batch.events[row]) { contains(stackTrace, $0) }
                change(names[Int(batch.rowResources[row])]) {
                    $0.spans += 1
                    if hasCode { $0.spansWithCode += 1 }
                }
            }
            return count < limits.spans
        }
        if count >= limits.spans {
            result.notes.append("counted the newest \(count) spans of the stretch")
        }
    }

    mutating func countLines(
        _ sources: SignalSources, _ tenant: Tenant, _ range: NanosRange, _ limits: ReadLimits,
        _ context: ReadContext
    ) throws {
        var count = 0
        var request = LogRequest(tenant: tenant, matchers: [], range: range)
        request.columns = .metadata
        try sources.logs.read(request, context) { batch in
            try context.check()
            let names = batch.streams.map {
                sources.index.serviceName(ofStream: batch.arena.labels($0))
            }
            for row in 0..<batch.rowCount where range.contains(batch.nanos[row]) {
                count += 1
                guard let name = names[Int(batch.rowStreams[row])] else {
                    result.linesWithoutService += 1
                    continue
                }
                let isTraced = !batch.traceIDs[row].isZero
                change(name) {
                    $0.lines += 1
                    if isTraced { $0.linesWithTrace += 1 }
                }
            }
            return count < limits.lines
        }
        if count >= limits.lines {
            result.notes.append("counted \(count) log lines of the stretch, not all")
        }
    }

    mutating func countSeries(
        _ sources: SignalSources, _ tenant: Tenant, _ range: NanosRange, _ limits: ReadLimits,
        _ context: ReadContext
    ) throws {
        let request = SeriesRequest(tenant: tenant, matchers: [], range: range.millis)
        let set = try sources.metrics.select(request, context)
        let most = min(set.count, 50 * limits.series)
        for index in 0..<most {
            if index % 1024 == 0 { try context.check() }
            if let name = sources.index.serviceName(ofSeries: set.labels(index), tenant: tenant) {
                change(name) { $0.series += 1 }
            } else {
                result.seriesWithoutService += 1
            }
        }
        if set.count > most {
            result.notes.append("counted the first \(most) of \(set.count) series")
        }
    }
}

private let codePrefix = Array("code.".utf8)
private let stackTrace = Array("exception.stacktrace".utf8)
