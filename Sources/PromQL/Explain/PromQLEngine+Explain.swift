// SPDX-License-Identifier: Apache-2.0
// Front door of `explain`.

import Base
import Telemetry

extension PromQLEngine {
    /// Computes an instant query and tells what each operator did. Costs as much as the query on
    /// one thread, and two readings of the clock per operator and series.
    ///
    /// - Throws: what `query` throws.
    package func explain(
        _ text: String, tenant: Tenant = .anonymous, at time: Millis, context: ReadContext,
        lookbackMillis: Int64? = nil
    ) throws -> ExplainedQuery {
        let recorder = PlanRecorder(context, query: text)
        let query = try prepared(text, at: time)
        let result = try inOnePiece.evaluate(query, tenant, context, lookbackMillis, recorder)
        return recorder.explained(query, result, context)
    }

    /// Computes a range query and tells what each operator did.
    ///
    /// - Throws: what `queryRange` throws.
    package func explainRange(
        _ text: String, tenant: Tenant = .anonymous, start: Millis, end: Millis,
        stepMillis: Int64, context: ReadContext, lookbackMillis: Int64? = nil
    ) throws -> ExplainedQuery {
        let recorder = PlanRecorder(context, query: text)
        let query = try prepared(text, start: start, end: end, stepMillis: stepMillis)
        let result = try inOnePiece.evaluate(query, tenant, context, lookbackMillis, recorder)
        return recorder.explained(query, result, context)
    }

    /// On one thread and without slices, so that time belongs to the node that took it.
    private var inOnePiece: PromQLEngine {
        var options = options
        options.slicing.helpers = nil
        options.slicing.leastWork = .max
        return PromQLEngine(reader: reader, options: options)
    }
}

extension PlanRecorder {
    fileprivate func explained(
        _ query: PreparedQuery, _ result: QueryResult, _ context: ReadContext
    ) -> ExplainedQuery {
        ExplainedQuery(
            kind: query.expression.kind, plan: plan(of: query), series: result.value.seriesCount,
            samples: context.samplesRead, peakBytes: context.peakBytes,
            nanos: context.elapsedNanos, warnings: result.warnings, infos: result.infos)
    }
}

extension QueryValue {
    fileprivate var seriesCount: Int {
        switch self {
        case .scalar, .string: 1
        case .vector(let samples): samples.count
        case .matrix(let series): series.count
        }
    }
}
