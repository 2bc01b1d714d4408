// SPDX-License-Identifier: Apache-2.0
// What runs besides the HTTP listeners for pushed metrics.

import Base
import Logging
import ServiceLifecycle

/// The services that the options ask for.
///
/// - Parameter announce: told what listens where.
func pushServices(
    _ options: ServerOptions, _ startup: Startup, _ clock: any Clock, _ logger: Logger,
    announce: @escaping @Sendable (String, Int, String) -> Void
) -> [any Service] {
    let counters = startup.lines
    var services: [any Service] = [
        RepeatedWork(intervalSeconds: options.pushIntervalSeconds, clock: clock) { millis in
            guard let core = startup.core else { return }
            await core.pushed.expose(millis: millis, to: core.pipeline) {
                logger.warning("pushed metrics not stored: \($0)")
            }
        }
    ]
    if let address = options.graphite {
        let sink = GraphiteSink(
            startup: startup, clock: clock, logger: logger, counters: counters)
        services.append(
            LineListener(
                address: address, name: "graphite", clock: clock, logger: logger,
                counters: counters.listeners
            ) {
                announce(address.host, $0, "graphite")
            } take: {
                try await sink.write($0)
            })
    }
    if let address = options.statsD {
        let sink = StatsDSink(startup: startup, clock: clock, logger: logger, counters: counters)
        services.append(
            RepeatedWork(
                intervalSeconds: options.statsDFlushSeconds, clock: clock, finishes: true
            ) { _ in await sink.flush() })
        services.append(
            LineListener(
                address: address, name: "statsd", clock: clock, logger: logger,
                counters: counters.listeners
            ) {
                announce(address.host, $0, "statsd")
            } take: {
                sink.add($0)
            })
    }
    return services
}
