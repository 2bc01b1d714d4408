// SPDX-License-Identifier: Apache-2.0
// Jaeger's way in over UDP.

import Base
import Ingest
import Logging
import ServiceLifecycle
import Telemetry
import Wire

/// Takes what Jaeger's clients send to an agent: datagrams with a call of `emitBatch`, in either of
/// thrift's protocols. Those of a tenth of a second are committed together. Nobody is answered: a
/// datagram that cannot be taken is counted and lost.
struct JaegerAgent: Sendable {
    let startup: Startup
    let clock: any Clock
    let logger: Logger

    /// The service for an address.
    func listener(
        on address: ListenAddress, announce: @escaping @Sendable (String, Int, String) -> Void
    ) -> any Service {
        DatagramListener(
            address: address, clock: clock, counters: startup.traceDoors.datagrams,
            onRunning: { announce(address.host, $0, "jaeger-udp") }
        ) { await write($0) }
    }

    private func write(_ block: MessageBlock) async {
        if block.messages.isEmpty { return }
        let counters = startup.traceDoors
        guard let core = startup.core else {
            return counters.datagrams.drop(datagrams: block.messages.count)
        }
        let writer = TraceDoorWriter(pipeline: core.pipeline, clock: clock, counters: counters)
        // Datagrams name no tenant.
        let tenant = Tenant.anonymous
        do {
            try await core.pipeline.perform(bytes: block.bytes.count) {
                let (decoded, malformed) = block.bytes.withUnsafeBytes {
                    JaegerThrift.decodeDatagrams($0, block.messages)
                }
                counters.add(.jaeger, spans: 0, rejected: malformed)
                _ = try await writer.write(decoded, from: .jaeger, tenant)
            }
        } catch {
            logger.warning("spans of datagrams not stored: \(error)")
            counters.datagrams.drop(datagrams: block.messages.count)
        }
    }
}
