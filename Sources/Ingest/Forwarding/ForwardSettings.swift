// SPDX-License-Identifier: Apache-2.0
// How one destination wants its data.

import Base
import Telemetry

/// Version of the remote write protocol.
package enum ForwardVersion: Sendable, Equatable {
    case one, two
}

/// One `remote_write` entry without its HTTP part; the defaults are Prometheus'. Times in seconds.
///
/// Source: prometheus/prometheus `config/config.go`, `DefaultRemoteWriteConfig` and
/// `DefaultQueueConfig`.
package struct ForwardSettings: Sendable, Equatable {
    /// Names the destination in metrics, and its cursor on disk.
    package var name: String
    /// Without credentials, for messages and metrics.
    package var url: String
    package var version = ForwardVersion.one
    package var rules: [RelabelRule] = []
    package var externalLabels: [NamedLabel] = []
    package var sendsExemplars = false
    package var sendsNativeHistograms = false
    package var sendsMetadata = true
    package var metadataIntervalSeconds = 60.0
    package var metadataPerRequest = 2000
    package var minShards = 1
    package var maxShards = 50
    package var samplesPerRequest = 2000
    package var batchDeadlineSeconds = 5.0
    package var minBackoffSeconds = 0.03
    package var maxBackoffSeconds = 5.0
    package var retriesTooManyRequests = false
    /// 0 = no limit.
    package var sampleAgeLimitSeconds = 0.0
    package var timeoutSeconds = 30.0

    /// A label that every series gets unless it has one of that name.
    package struct NamedLabel: Sendable, Equatable {
        package var name: String
        package var value: String
        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package init(name: String, url: String) {
        self.name = name
        self.url = url
    }
}

/// What was asked of a destination.
package struct ForwardRequest: Sendable {
    /// Compressed with snappy.
    package var body: [UInt8]
    package var headers: [(name: String, value: String)]
    package var tenant: Tenant
    package var timeoutSeconds: Double
}

/// What a destination answered.
package struct ForwardReply: Sendable {
    package var status: Int
    /// The beginning of the body, for messages.
    package var text = ""
    /// Without the space around them.
    package var headers: [(name: String, value: String)] = []

    package init(status: Int) { self.status = status }

    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

/// Sends to one destination. The server brings an HTTP client, tests a program.
package protocol ForwardTransport: Sendable {
    /// - Throws: whatever kept an answer from arriving; it is tried again.
    func send(_ request: ForwardRequest) async throws -> ForwardReply
}
