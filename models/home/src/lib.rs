//! A home as areas, floors, devices and entities, as in Home Assistant; the services that change it; the sentences people say
//! about it; policy, and a ledger of actions with undo. No threads, clocks, devices or network.
