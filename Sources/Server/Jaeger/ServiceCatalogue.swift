// SPDX-License-Identifier: Apache-2.0
// Services, their operations and their calls, for trace user interfaces.

import Correlation
import Telemetry
import TraceQL
import Wire

/// The lists that Jaeger's and Zipkin's user interfaces offer. Services come from the catalogue of
/// attributes, operations and calls from the correlation index: no spans are read.
struct ServiceCatalogue: Sendable {
    let service: QueryService
    let index: Correlation

    /// Services of an answer at most.
    private static let maxServices = 100_000

    /// Values of `service.name` on resources of spans, ascending.
    func services(tenant: Tenant) async throws -> [String] {
        let reader = service.traces
        return try await service.run { context in
            try reader.tagValues(
                .attribute(.resource, "service.name"), SpanRequest(tenant: tenant, range: .all),
                limit: ServiceCatalogue.maxServices, context
            ).compactMap { value in
                if case .string(let name) = value, !name.isEmpty { name } else { nil }
            }
        }
    }

    /// Names and kinds of a service's spans, ascending.
    ///
    /// - Parameter kind: `server`, `client`, …; nil = every.
    func operations(
        of name: String, kind: String? = nil, tenant: Tenant
    ) async throws -> [JaegerAnswers.Operation] {
        try await service.run { _ in
            // Spans may have a name that the configuration gives another one for.
            let known = index.canonicalName(name, tenant: tenant, range: .all) ?? name
            return index.operationNames(ofService: known, tenant: tenant, range: .all).map {
                JaegerAnswers.Operation(
                    name: $0.name, kind: $0.kind == 0 ? "" : spanKindName($0.kind))
            }.filter { kind == nil || kind == $0.kind }
        }
    }

    /// Names of a service's spans, ascending, each once.
    func operationNames(of name: String, tenant: Tenant) async throws -> [String] {
        Set(try await operations(of: name, tenant: tenant).map(\.name)).sorted()
    }

    /// Calls between services in a stretch of time.
    func dependencies(
        _ range: NanosRange, tenant: Tenant
    ) async throws -> [JaegerAnswers.Dependency] {
        try await service.run { _ in
            let (calls, faults) = index.serviceCalls(tenant: tenant, range: range)
            // Neither API has a place for what is missing, so half a graph is no answer.
            if let fault = faults.first { throw fault }
            return calls.map {
                JaegerAnswers.Dependency(
                    parent: $0.caller, child: $0.callee, callCount: $0.callCount,
                    errorCount: $0.errorCount)
            }
        }
    }
}
