// SPDX-License-Identifier: Apache-2.0
// Which services are asked about.

import Correlation
import Telemetry

/// What was asked about is not there.
package struct UnknownScope: Error, CustomStringConvertible {
    package let description: String
}

/// The services that a request lets be suspects: one and those it calls, directly or not; those of
/// traces; those of series and what they call. All, when it names none.
struct Scope {
    /// Nil = all.
    private var services: Set<Int32>?

    /// - Throws: `UnknownScope`, what the stores throw.
    init(
        _ request: DiagnosisRequest, _ sources: SignalSources, _ observations: Observations,
        _ context: ReadContext
    ) throws {
        var roots: Set<Int32> = []
        if let name = request.service {
            let canonical = sources.index.canonicalName(
                name, tenant: request.tenant, range: request.window)
            guard
                let number = observations.services.number(
                    of: canonical ?? sources.index.configuredName(name))
            else {
                throw UnknownScope(
                    description: "service \"\(name)\" not found in this stretch of time")
            }
            roots.insert(number)
        } else if !request.traces.isEmpty {
            for id in request.traces {
                let spans = try sources.spans.trace(id, tenant: request.tenant, context)
                guard spans.rowCount > 0 else {
                    throw UnknownScope(description: "trace \(id) not found")
                }
                for resource in spans.resources {
                    let name = sources.index.serviceName(ofResource: resource, in: spans.arena)
                    if let number = observations.services.number(of: name) { roots.insert(number) }
                }
            }
            services = roots
            return
        } else if !request.series.isEmpty {
            for matchers in request.series {
                let set = try sources.metrics.select(
                    SeriesRequest(
                        tenant: request.tenant, matchers: matchers, range: request.window.millis),
                    context)
                for index in 0..<set.count {
                    let name = sources.index.serviceName(
                        ofSeries: set.labels(index), tenant: request.tenant)
                    if let name, let number = observations.services.number(of: name) {
                        roots.insert(number)
                    }
                }
            }
            if roots.isEmpty {
                throw UnknownScope(description: "no series of match[] belongs to a service")
            }
        } else {
            return
        }
        services = Scope.callees(of: roots, observations.spans)
    }

    func contains(_ service: Int32) -> Bool { services?.contains(service) ?? true }

    private static func callees(of roots: Set<Int32>, _ spans: SpanTable) -> Set<Int32> {
        var calls: [Int32: Set<Int32>] = [:]
        for row in 0..<spans.count where spans.peers[row] >= 0 {
            calls[spans.services[row], default: []].insert(spans.peers[row])
        }
        var result = roots
        var open = Array(roots)
        while let service = open.popLast() {
            for callee in calls[service] ?? [] where result.insert(callee).inserted {
                open.append(callee)
            }
        }
        return result
    }
}
