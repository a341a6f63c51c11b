//! What an entity can do, as Home Assistant numbers it in `supported_features`.

use crate::domain::Domain;

/// Home Assistant's numbers of features.
pub(super) fn feature_bits(domain: Domain) -> &'static [(u64, &'static str)] {
    match domain {
        Domain::Cover => &[
            (1, "OPEN"),
            (2, "CLOSE"),
            (4, "SET_POSITION"),
            (8, "STOP"),
            (16, "OPEN_TILT"),
            (32, "CLOSE_TILT"),
            (64, "STOP_TILT"),
            (128, "SET_TILT_POSITION"),
        ],
        Domain::Valve => &[(1, "OPEN"), (2, "CLOSE"), (4, "SET_POSITION"), (8, "STOP")],
        Domain::Fan => &[
            (1, "SET_SPEED"),
            (2, "OSCILLATE"),
            (4, "DIRECTION"),
            (8, "PRESET_MODE"),
            (16, "TURN_OFF"),
            (32, "TURN_ON"),
        ],
        Domain::Light => &[(4, "EFFECT"), (8, "FLASH"), (32, "TRANSITION")],
        Domain::Lock => &[(1, "OPEN")],
        Domain::Climate => &[
            (1, "TARGET_TEMPERATURE"),
            (2, "TARGET_TEMPERATURE_RANGE"),
            (4, "TARGET_HUMIDITY"),
            (8, "FAN_MODE"),
            (16, "PRESET_MODE"),
            (32, "SWING_MODE"),
            (128, "TURN_OFF"),
            (256, "TURN_ON"),
        ],
        Domain::MediaPlayer => &[
            (1, "PAUSE"),
            (2, "SEEK"),
            (4, "VOLUME_SET"),
            (8, "VOLUME_MUTE"),
            (16, "PREVIOUS_TRACK"),
            (32, "NEXT_TRACK"),
            (128, "TURN_ON"),
            (256, "TURN_OFF"),
            (512, "PLAY_MEDIA"),
            (1024, "VOLUME_STEP"),
            (2048, "SELECT_SOURCE"),
            (4096, "STOP"),
            (8192, "CLEAR_PLAYLIST"),
            (16384, "PLAY"),
            (32768, "SHUFFLE_SET"),
            (65536, "SELECT_SOUND_MODE"),
            (131_072, "BROWSE_MEDIA"),
            (262_144, "REPEAT_SET"),
            (524_288, "GROUPING"),
        ],
        Domain::Vacuum => &[
            (4, "PAUSE"),
            (8, "STOP"),
            (16, "RETURN_HOME"),
            (32, "FAN_SPEED"),
            (64, "BATTERY"),
            (512, "LOCATE"),
            (1024, "CLEAN_SPOT"),
            (4096, "STATE"),
            (8192, "START"),
        ],
        Domain::Todo => {
            &[(1, "CREATE_TODO_ITEM"), (2, "DELETE_TODO_ITEM"), (4, "UPDATE_TODO_ITEM"), (8, "MOVE_TODO_ITEM")]
        }
        Domain::Calendar => &[(1, "CREATE_EVENT"), (2, "DELETE_EVENT"), (4, "UPDATE_EVENT")],
        Domain::AlarmControlPanel => &[
            (1, "ARM_HOME"),
            (2, "ARM_AWAY"),
            (4, "ARM_NIGHT"),
            (8, "TRIGGER"),
            (16, "ARM_CUSTOM_BYPASS"),
            (32, "ARM_VACATION"),
        ],
        Domain::LawnMower => &[(1, "START_MOWING"), (2, "PAUSE"), (4, "DOCK")],
        Domain::Humidifier => &[(1, "MODES")],
        Domain::WaterHeater => &[(1, "TARGET_TEMPERATURE"), (2, "OPERATION_MODE"), (4, "AWAY_MODE"), (8, "ON_OFF")],
        _ => &[],
    }
}
