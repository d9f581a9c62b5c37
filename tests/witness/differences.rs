//! Where moto is known to be unlike AWS: the one list of it.
//!
//! Each is observed by a test, so that a newer moto which behaves otherwise shows, and the compiler
//! refuses one that no test observes. None of them may make Curfew say "gone" of access that is there.

/// What AWS does, and what moto does instead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Difference {
    /// AWS works on a create or delete for seconds; moto has done it by its first answer, and no
    /// operation is ever in progress or failed.
    OperationsAreDoneAtOnce,
    /// AWS keeps one assignment, however often it is made; moto keeps a row for each create, and a
    /// delete takes away one of them.
    DuplicateCreatesAreRows,
    /// AWS accepts the delete of a missing assignment, and the operation fails; moto answers with
    /// `ResourceNotFoundException`.
    DeleteOfTheMissingIsRefused,
    /// AWS gives a delete a `RequestId` of its own; moto answers with the create's, whose status is
    /// not to be had any more.
    DeletesHaveTheCreatesId,
    /// AWS lists recent operations; moto does not know the call (500).
    OperationsAreNotListed,
    /// In AWS, an operation about somebody who does not exist fails; in moto it succeeds.
    AnyoneCanBeAssigned,
    /// AWS provisions a permission set in an account with its first assignment; moto does not.
    CreatesDoNotProvision,
    /// AWS says of everybody whether they are enabled; moto says nothing.
    UserStatusIsMissing,
    /// AWS gives the path of an account's units; moto does not.
    PathsAreMissing,
    /// AWS says `arn:aws:sso:::permissionSet/…`; moto says `arn:aws:sso:::instance/…/ps-…`.
    PermissionSetsAreNamedAfterTheInstance,
}

impl Difference {
    /// Fails if moto does not differ in this any more.
    #[track_caller]
    pub(crate) fn shows(self, observed: bool) {
        assert!(
            observed,
            "moto behaves otherwise now: {self:?} goes off the list, or is to be described anew"
        );
    }
}
