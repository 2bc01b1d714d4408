// SPDX-License-Identifier: Apache-2.0
// Rules' queries on the server's engines.

import LogQL
import PromQL
import Rules
import Synchronization
import Telemetry
import TraceQL

/// Runs what rules ask where all queries run: bounded in number, time and memory.
struct ServerRuleQueries: RuleQueries {
    let service: QueryService

    /// The engine of rules. Without helpers: rules are many and small.
    var engine: PromQLEngine {
        var options = service.limits.features.promQL
        options.lookbackMillis = Int64(service.limits.lookbackSeconds * 1000)
        options.subqueryStepMillis = service.subqueryStepMillis
        return PromQLEngine(reader: service.metrics, options: options)
    }

    func run<T: Sendable>(
        as tenant: Tenant, _ work: @escaping @Sendable (any RuleQuerying) throws -> T
    ) async throws -> T {
        let (service, engine) = (service, engine)
        return try await service.run { context in
            let logs = LogQLEngine(reader: service.logs, clock: service.clock)
            let querying = EngineQuerying(
                metrics: engine, series: service.metrics, logs: logs,
                traces: TraceQLEngine(reader: service.traces), tenant: tenant, context: context)
            return try work(querying)
        }
    }
}
