DELETE FROM task WHERE id = :id
