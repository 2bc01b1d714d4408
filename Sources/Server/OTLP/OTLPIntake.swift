// SPDX-License-Identifier: Apache-2.0
// One OTLP request of any signal over any transport.

import Base
import Ingest
import Telemetry
import Wire

/// The signals OTLP carries.
enum OTLPSignal: String, Sendable, CaseIterable {
    case traces, metrics, logs

    var grpcService: String {
        let base = "opentelemetry.proto.collector."
        return switch self {
        case .traces: base + "trace.v1.TraceService"
        case .metrics: base + "metrics.v1.MetricsService"
        case .logs: base + "logs.v1.LogsService"
        }
    }
}
