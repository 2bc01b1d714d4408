// SPDX-License-Identifier: Apache-2.0
// The `otlp` section in force.

import Synchronization
import Wire

/// The settings by which OTLP metrics are translated; a reload changes them between requests.
final class OTLPTranslation: Sendable {
    private let current = Mutex(OTLPSettings())
    private let collisionCount = Atomic<Int>(0)

    var settings: OTLPSettings { current.withLock { $0 } }
    func apply(_ settings: OTLPSettings) { current.withLock { $0 = settings } }

    /// Label names that stood for several attributes so far.
    var collisions: Int { collisionCount.load(ordering: .relaxed) }
    func count(collisions: Int) { collisionCount.wrappingAdd(collisions, ordering: .relaxed) }
}
