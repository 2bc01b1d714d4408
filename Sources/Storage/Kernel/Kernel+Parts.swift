// SPDX-License-Identifier: Apache-2.0
// What parts there are.

extension Kernel {
    /// Descriptors of all parts of the manifest as it stands now, by id.
    package var partDescriptors: [PartDescriptor] { manifest.current.sorted }
}
